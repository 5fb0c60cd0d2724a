package main

// The bed's processes: each has a log and a pid file, and is started again when it ends, unless a file
// of its name in hold/ keeps it down (that is how a test stops the API server for a while).

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

type processes struct{ state string }

// start runs a program for as long as the bed stands.
func (p processes) start(name string, environment []string, command ...string) {
	path, err := exec.LookPath(command[0])
	check(err, name)
	logs, err := os.OpenFile(p.path("log", name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	check(err, name)
	launch := func() *exec.Cmd {
		process := exec.Command(path, command[1:]...)
		process.Env = append(os.Environ(), environment...)
		process.Stdout, process.Stderr = logs, logs
		check(process.Start(), name)
		check(os.WriteFile(p.path("pid", name), fmt.Appendf(nil, "%d\n", process.Process.Pid), 0o644), name)
		return process
	}
	process := launch()
	go func() {
		for {
			_ = process.Wait()
			_ = os.Remove(p.path("pid", name))
			for wait := true; wait; {
				time.Sleep(200 * time.Millisecond)
				_, err := os.Stat(p.path("hold", name))
				wait = err == nil
			}
			process = launch()
		}
	}()
}

// startIn runs a program in a network of its own.
func (p processes) startIn(name, address string, environment []string, command ...string) {
	cell(name, address)
	p.start(name, environment, append([]string{"nsenter", "--net=/run/netns/" + name, "--"}, command...)...)
}

func (p processes) path(kind, name string) string {
	check(os.MkdirAll(filepath.Join(p.state, kind), 0o755), kind)
	return filepath.Join(p.state, kind, name)
}

// await waits until something is so; if it never is, the bed fails and shows the end of a log.
func (p processes) await(what, log string, reached func() error) {
	start := time.Now()
	for {
		err := reached()
		if err == nil {
			say("%5.1f s  %s", time.Since(started).Seconds(), what)
			return
		}
		if time.Since(start) > 120*time.Second {
			text, _ := os.ReadFile(p.path("log", log))
			lines := strings.Split(strings.TrimSpace(string(text)), "\n")
			fmt.Fprintln(os.Stderr, strings.Join(lines[max(0, len(lines)-20):], "\n"))
			fail(fmt.Sprintf("%s: never came: %v", what, err))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// answers is reached when a URL answers 200.
func answers(client *http.Client, url string, headers ...string) func() error {
	return func() error {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
			if headers[i] == "Host" {
				request.Host = headers[i+1]
			}
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, answer.Status)
		}
		return nil
	}
}
