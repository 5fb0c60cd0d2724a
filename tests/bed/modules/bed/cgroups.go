package main

// Pods' resources are held by cgroups below one named after the bed, version 1 or 2.

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const cgroupMount = "/sys/fs/cgroup"

func cgroupName(owner int) string { return "sluice-bed-" + strconv.Itoa(owner) }

// cgroupRoots are the hierarchies: one with version 2, one for each controller with version 1.
func cgroupRoots() []string {
	if _, err := os.Stat(cgroupMount + "/cgroup.controllers"); err == nil {
		return []string{cgroupMount}
	}
	roots, _ := filepath.Glob(cgroupMount + "/*/cgroup.procs")
	for i := range roots {
		roots[i] = filepath.Dir(roots[i])
	}
	return roots
}

func makeCgroups(name string) {
	for _, root := range cgroupRoots() {
		if controllers, err := os.ReadFile(root + "/cgroup.controllers"); err == nil && root == cgroupMount {
			for _, controller := range strings.Fields(string(controllers)) {
				_ = os.WriteFile(root+"/cgroup.subtree_control", []byte("+"+controller), 0o644)
			}
		}
		check(os.MkdirAll(filepath.Join(root, name), 0o755), "the bed's cgroup")
		// A cpuset without processors and memory nodes takes no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if all, err := os.ReadFile(filepath.Join(root, file)); err == nil && root != cgroupMount {
				_ = os.WriteFile(filepath.Join(root, name, file), all, 0o644)
			}
		}
	}
}

func removeCgroups(name string) {
	for _, root := range cgroupRoots() {
		var all []string
		_ = filepath.WalkDir(filepath.Join(root, name), func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for i := len(all) - 1; i >= 0; i-- {
			_ = syscall.Rmdir(all[i])
		}
	}
}

// sweep removes what beds left behind whose owner was killed: empty cgroups and a folder of state.
func sweep() {
	for _, root := range cgroupRoots() {
		beds, _ := filepath.Glob(root + "/sluice-bed-*")
		for _, bed := range beds {
			name := filepath.Base(bed)
			owner, err := strconv.Atoi(strings.TrimPrefix(name, "sluice-bed-"))
			if err == nil && syscall.Kill(owner, 0) != nil {
				removeCgroups(name)
			}
		}
	}
	states, _ := filepath.Glob(filepath.Join(os.TempDir(), temporaryState+"*"))
	for _, state := range states {
		if _, _, ok := pids(state); !ok {
			continue
		}
		if _, ok := alive(state); !ok {
			_ = os.RemoveAll(state)
		}
	}
}
