// Bed is a real Kubernetes with a real Knative as plain processes of this machine, in namespaces of its
// own: nothing listens on the machine's interfaces, several stand side by side, and all of it ends with
// the process that started it.
//
//	bed check                          can it run here? says why not, status 3
//	bed up    [--state DIR] [--sluice FILE] [--detach]    start it and stay until SIGTERM
//	bed down  [--state DIR]            stop one that is up
//	bed run   [--sluice FILE] -- COMMAND...    a bed for as long as COMMAND runs, inside it
//	bed exec  [--state DIR] -- COMMAND...      COMMAND inside a bed that is up
//
// The programs it starts are found on PATH; build.sh builds them.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// temporaryState begins the names of folders that go with their bed.
const temporaryState = "sluice-bed-"

// cannot is the exit status of "this machine cannot run a bed", which is no failure of the bed.
const cannot = 3

func main() {
	if len(os.Args) < 2 {
		fail("usage: bed check|up|down|run|exec")
	}
	command, rest := os.Args[1], os.Args[2:]
	flags := flag.NewFlagSet("bed "+command, flag.ExitOnError)
	state := flags.String("state", "", "folder of the bed's state (up, down, exec: the one that is shared by all three)")
	sluice := flags.String("sluice", "", "the sluice program that the sample images are made of")
	detach := flags.Bool("detach", false, "come back once it is ready; `bed down` stops it (up)")
	_ = flags.Parse(rest)
	if *state == "" {
		*state = filepath.Join(os.TempDir(), "sluice-bed")
	}

	switch command {
	case "check":
		if why := whyNot(); why != "" {
			fmt.Fprintln(os.Stderr, why)
			os.Exit(cannot)
		}
	case "up":
		if *detach {
			os.Exit(leave(*state, *sluice))
		}
		os.Exit(hold(settings{state: *state, sluice: *sluice}))
	case "run":
		dir, err := os.MkdirTemp("", temporaryState)
		check(err, "a folder for the bed")
		os.Exit(hold(settings{state: dir, sluice: *sluice, command: flags.Args(), temporary: true}))
	case "down":
		down(*state)
	case "exec":
		enter(*state, flags.Args())
	case "init":
		reap()
	case "supervise":
		os.Exit(supervise(settings{state: *state, sluice: *sluice, command: flags.Args()}))
	case "pause":
		pause()
	default:
		fail("no such command: " + command)
	}
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bed: "+format+"\n", args...) }

func fail(why string) {
	say("%s", why)
	os.Exit(1)
}

func check(err error, what string) {
	if err != nil {
		fail(fmt.Sprintf("%s: %v", what, err))
	}
}
