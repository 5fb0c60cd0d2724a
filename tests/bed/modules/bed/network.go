package main

// One bridge; the node and the API server are its address, each Knative process has a network of its own
// on it (they all want the same ports), and so has each Pod.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	bridge   = "kn0"
	subnet   = "10.244.0.0/24"
	node     = "10.244.0.1"
	services = "10.96.0.0/16"
	// The address at which clients find the gateway, as a load balancer would give it.
	balancer = "10.97.0.1"

	dnsIP        = "10.244.0.10"
	controllerIP = "10.244.0.11"
	webhookIP    = "10.244.0.12"
	autoscalerIP = "10.244.0.13"
	activatorIP  = "10.244.0.14"
	kourierIP    = "10.244.0.15"
	gatewayIP    = "10.244.0.16"
)

func network(state string) {
	ip("link set lo up")
	ip("link add " + bridge + " type bridge")
	ip("addr add " + node + "/24 dev " + bridge)
	ip("link set " + bridge + " up promisc on")
	// Addresses of Services need some route before iptables can translate them.
	ip("route replace 10.96.0.0/15 dev " + bridge)
	for _, key := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
		check(os.WriteFile("/proc/sys/"+key, []byte("1"), 0o644), key)
	}
	// Who lives in a bed asks the bed's DNS, and finds its registry.
	cover(state, "/etc/resolv.conf", "nameserver "+dnsIP+"\nsearch knative-serving.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n")
	cover(state, "/etc/hosts", "127.0.0.1 localhost\n"+node+" sluice.local n1\n")
}

// cover puts a file of the bed's own over one of the machine's; only the bed sees it.
func cover(state, path, content string) {
	ours := filepath.Join(state, filepath.Base(path))
	check(os.WriteFile(ours, []byte(content), 0o644), path)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	} else {
		// A link into /run, which the bed has covered.
		path, _ = os.Readlink(path)
		check(os.MkdirAll(filepath.Dir(path), 0o755), path)
		check(os.WriteFile(path, nil, 0o644), path)
	}
	check(syscall.Mount(ours, path, "", syscall.MS_BIND, ""), path)
}

// cell makes a network of its own for one process.
func cell(name, address string) {
	ip("netns add " + name)
	ip(fmt.Sprintf("link add v-%s type veth peer name eth0 netns %s", name, name))
	ip("link set v-" + name + " master " + bridge + " up")
	for _, command := range []string{"link set lo up", "addr add " + address + "/24 dev eth0", "link set eth0 up", "route add default via " + node} {
		ip("-n " + name + " " + command)
	}
}

func ip(arguments string) {
	out, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput()
	if err != nil {
		fail(fmt.Sprintf("ip %s: %v: %s", arguments, err, out))
	}
}
