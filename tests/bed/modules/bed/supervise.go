package main

// The order in which a bed comes up, and what it does then.

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

var started = time.Now()

// supervise runs inside the nest, until the command ends or a signal comes.
func supervise(s settings) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	network(s.state)

	// What needs no API server comes up beside it.
	stocked := make(chan struct{})
	go func() {
		defer close(stocked)
		self, err := os.Executable()
		check(err, "this program's own path")
		queue, err := exec.LookPath("queue")
		check(err, "the queue-proxy")
		stock(self, queue, s.sluice).serve()
	}()
	k := startAPI(s.state)
	k.startControllers()
	k.startRuntime()
	k.startNode(os.Getenv("BED_CGROUP"))
	k.installKnative()
	k.startKnative()
	k.awaitNode()
	k.awaitKnative()
	<-stocked
	check(os.WriteFile(k.at("ready"), nil, 0o644), "ready")
	say("%5.1f s  ready: KUBECONFIG=%s, inside `bed exec`", time.Since(started).Seconds(), k.at("kubeconfig"))

	if len(s.command) == 0 {
		<-signals
		return 0
	}
	command := exec.Command(s.command[0], s.command[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), inside(s.state)...)
	err := command.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	check(err, s.command[0])
	return 0
}
