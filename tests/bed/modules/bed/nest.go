package main

// The nest: process, mount and network namespaces of the bed's own. When its first process dies, the
// kernel ends every other one in it, containers included, and takes mounts and interfaces away.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type settings struct {
	state     string
	sluice    string
	command   []string
	temporary bool
}

// whyNot says what this machine lacks, or nothing.
func whyNot() string {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return "a bed needs Linux and root (namespaces, cgroups, iptables)"
	}
	var missing []string
	for _, program := range []string{"containerd", "runc", "iptables", "ip", "nsenter", "etcd", "kube-apiserver", "kubelet", "controller", "envoy"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if cniPlugins() == "" {
		missing = append(missing, "CNI plugins")
	}
	if len(missing) > 0 {
		return "a bed needs " + strings.Join(missing, ", ") + ": tests/bed/build.sh builds its own programs, Debian's containerd, runc, containernetworking-plugins, iptables and iproute2 give the rest"
	}
	return ""
}

func cniPlugins() string {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(dir + "/host-local"); err == nil {
			return dir
		}
	}
	return ""
}

// hold starts the nest and stays with it; the bed ends when this process does, however that comes.
func hold(s settings) int {
	if why := whyNot(); why != "" {
		say("%s", why)
		return cannot
	}
	if pid, ok := alive(s.state); ok {
		say("one is up already in %s (process %d); `bed down` stops it", s.state, pid)
		return 1
	}
	sweep()
	if !s.temporary {
		check(os.RemoveAll(s.state), "the old state")
	}
	check(os.MkdirAll(s.state, 0o755), "the state folder")

	// The parent-death signal belongs to the thread that forks: it must be one that stays.
	runtime.LockOSThread()
	self, err := os.Executable()
	check(err, "this program's own path")
	arguments := []string{"init", self, "supervise", "--state", s.state, "--sluice", s.sluice, "--"}
	nest := exec.Command(self, append(arguments, s.command...)...)
	nest.Stdin, nest.Stdout, nest.Stderr = os.Stdin, os.Stdout, os.Stderr
	nest.Env = append(os.Environ(), "BED_CGROUP="+cgroupName(os.Getpid()))
	nest.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	check(nest.Start(), "the bed's namespaces")
	check(os.WriteFile(filepath.Join(s.state, "owner"), fmt.Appendf(nil, "%d %d\n", os.Getpid(), nest.Process.Pid), 0o644), "the bed's pid")
	go func() {
		<-signals
		_ = nest.Process.Kill()
	}()
	err = nest.Wait()
	removeCgroups(cgroupName(os.Getpid()))
	_ = os.Remove(filepath.Join(s.state, "owner"))
	status := nest.ProcessState.ExitCode()
	if s.temporary && (status == 0 || os.Getenv("SLUICE_BED_KEEP") == "") {
		_ = os.RemoveAll(s.state)
	} else if status != 0 && s.temporary {
		say("state and logs are kept in %s", s.state)
	}
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		say("%v", err)
	}
	if status < 0 {
		return 1
	}
	return status
}

// leave starts a bed that outlives this process, and comes back once it is ready.
func leave(state, sluice string) int {
	self, err := os.Executable()
	check(err, "this program's own path")
	_ = os.Remove(filepath.Join(state, "ready"))
	owner := exec.Command(self, "up", "--state", state, "--sluice", sluice)
	owner.Stderr = os.Stderr
	owner.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(owner.Start(), "the bed")
	ended := make(chan error, 1)
	go func() { ended <- owner.Wait() }()
	for {
		select {
		case <-ended:
			return owner.ProcessState.ExitCode()
		case <-time.After(100 * time.Millisecond):
			if _, err := os.Stat(filepath.Join(state, "ready")); err == nil {
				return 0
			}
		}
	}
}

// alive gives the owner of the bed that is up with this state.
func alive(state string) (int, bool) {
	owner, _, ok := pids(state)
	return owner, ok && syscall.Kill(owner, 0) == nil
}

func pids(state string) (owner, nest int, ok bool) {
	text, err := os.ReadFile(filepath.Join(state, "owner"))
	if err != nil {
		return 0, 0, false
	}
	_, err = fmt.Sscan(string(text), &owner, &nest)
	return owner, nest, err == nil
}

func down(state string) {
	owner, ok := alive(state)
	if !ok {
		say("none is up in %s", state)
		return
	}
	_ = syscall.Kill(owner, syscall.SIGTERM)
	for range 200 {
		if _, ok := alive(state); !ok {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	fail("it does not end")
}

// enter becomes a command inside a bed that is up.
func enter(state string, command []string) {
	_, nest, ok := pids(state)
	if _, up := alive(state); !ok || !up {
		fail("none is up in " + state + "; `bed up` starts one")
	}
	here, err := os.Getwd()
	check(err, "the working folder")
	nsenter, err := exec.LookPath("nsenter")
	check(err, "nsenter")
	arguments := append([]string{"nsenter", "--target", strconv.Itoa(nest), "--mount", "--net", "--pid", "--ipc", "--uts", "--wdns=" + here, "--"}, command...)
	check(syscall.Exec(nsenter, arguments, append(os.Environ(), inside(state)...)), "nsenter")
}

// inside is what a command in a bed finds in its environment.
func inside(state string) []string {
	return []string{"KUBECONFIG=" + filepath.Join(state, "kubeconfig"), "SLUICE_BED=" + state}
}

// reap is the first process of the nest: it makes the mounts, starts the supervisor, buries orphans, and
// ends, and with it everything, when the supervisor does.
func reap() {
	must := func(err error, what string) { check(err, "inside: "+what) }
	must(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), "private mounts")
	must(syscall.Mount("proc", "/proc", "proc", 0, ""), "/proc")
	// Sockets and locks of containerd, runc and iptables, and named network namespaces.
	must(syscall.Mount("run", "/run", "tmpfs", 0, "mode=755"), "/run")
	must(os.MkdirAll("/run/netns", 0o755), "/run/netns")
	must(os.MkdirAll("/var/log", 0o755), "/var/log")
	must(syscall.Mount("log", "/var/log", "tmpfs", 0, "mode=755"), "/var/log")

	supervisor := exec.Command(os.Args[2], os.Args[3:]...)
	supervisor.Stdin, supervisor.Stdout, supervisor.Stderr = os.Stdin, os.Stdout, os.Stderr
	must(supervisor.Start(), "the supervisor")
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid == supervisor.Process.Pid {
			if status.Signaled() {
				os.Exit(128 + int(status.Signal()))
			}
			os.Exit(status.ExitStatus())
		}
	}
}

// pause holds a Pod's namespaces open.
func pause() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
}
