package main

// Kubernetes: its store, its API server, its controllers, and a node that really runs Pods.

import (
	"bytes"
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	apiServer  = "https://" + node + ":6443"
	adminToken = "admin-of-the-bed"
)

type kubernetes struct {
	processes
	client *http.Client
}

func (k kubernetes) at(parts ...string) string {
	return filepath.Join(append([]string{k.state}, parts...)...)
}

func (k kubernetes) write(name, content string) string {
	check(os.MkdirAll(filepath.Dir(k.at(name)), 0o755), name)
	check(os.WriteFile(k.at(name), []byte(content), 0o600), name)
	return k.at(name)
}

// startAPI brings up etcd and the API server, and waits until it answers.
func startAPI(state string) kubernetes {
	k := kubernetes{processes{state}, &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	pki := k.at("pki")
	ca := newAuthority(pki)
	ca.issue("apiserver", pkix.Name{CommonName: "kube-apiserver"},
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		[]net.IP{net.ParseIP(node), net.ParseIP("127.0.0.1"), net.ParseIP("10.96.0.1")})
	ca.issue("kubelet-client", pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}}, nil, nil)
	ca.keyPair("service-account")
	tokens := k.write("pki/tokens.csv", adminToken+`,admin,admin,"system:masters"`+"\n")
	k.write("kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: bed, cluster: {server: "%s", certificate-authority: %s/ca.crt}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: bed, context: {cluster: bed, user: admin}}]
current-context: bed
`, apiServer, pki, adminToken))

	k.start("etcd", nil, "etcd", "--unsafe-no-fsync", "--log-level=warn", "--data-dir="+k.at("etcd"),
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380")
	k.start("kube-apiserver", nil, "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
		"--bind-address="+node, "--advertise-address="+node, "--secure-port=6443", "--service-cluster-ip-range="+services,
		"--cert-dir="+pki, "--tls-cert-file="+pki+"/apiserver.crt", "--tls-private-key-file="+pki+"/apiserver.key",
		"--client-ca-file="+pki+"/ca.crt", "--token-auth-file="+tokens, "--authorization-mode=RBAC", "--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+pki+"/service-account.pub", "--service-account-signing-key-file="+pki+"/service-account.key",
		"--kubelet-client-certificate="+pki+"/kubelet-client.crt", "--kubelet-client-key="+pki+"/kubelet-client.key",
		// Webhooks are dialled at their endpoints: there is no kube-proxy in front of the API server.
		"--enable-aggregator-routing=true", "--profiling=false", "--event-ttl=1h")
	k.await("the API server answers", "kube-apiserver", answers(k.client, apiServer+"/readyz", "Authorization", "Bearer "+adminToken))
	return k
}

// startControllers starts what turns objects into other objects.
func (k kubernetes) startControllers() {
	k.start("kube-controller-manager", nil, "kube-controller-manager", "--kubeconfig="+k.at("kubeconfig"), "--leader-elect=false",
		"--bind-address=127.0.0.1", "--service-account-private-key-file="+k.at("pki/service-account.key"), "--root-ca-file="+k.at("pki/ca.crt"),
		"--use-service-account-credentials=true", "--controllers="+strings.Join([]string{
			"deployment-controller", "replicaset-controller", "endpoints-controller", "endpointslice-controller",
			// Knative writes Endpoints for its public Services, Kourier reads EndpointSlices.
			"endpointslice-mirroring-controller", "serviceaccount-controller", "serviceaccount-token-controller",
			"namespace-controller", "garbage-collector-controller", "root-ca-certificate-publisher-controller",
			"pod-garbage-collector-controller", "clusterrole-aggregation-controller", "node-lifecycle-controller",
		}, ","))
	k.start("kube-scheduler", nil, "kube-scheduler", "--kubeconfig="+k.at("kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1")
	// The connection-tracking limits of the machine are left as they are.
	k.start("kube-proxy", nil, "kube-proxy", "--kubeconfig="+k.at("kubeconfig"), "--proxy-mode=iptables", "--cluster-cidr="+subnet,
		"--hostname-override=n1", "--masquerade-all", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
		"--conntrack-tcp-timeout-close-wait=0", "--metrics-bind-address=127.0.0.1:10249", "--healthz-bind-address=127.0.0.1:10256")
	corefile := k.write("Corefile", fmt.Sprintf(".:53 {\n  errors\n  ready\n  kubernetes cluster.local {\n    kubeconfig %s bed\n    ttl 1\n  }\n}\n", k.at("kubeconfig")))
	k.startIn("dns", dnsIP, nil, "coredns", "-conf", corefile)
}

// startRuntime starts containerd, which needs nothing of the cluster.
func (k kubernetes) startRuntime() {
	k.write("cni/10-bed.conflist", fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "bed", "plugins": [
  {"type": "bridge", "bridge": "%s", "isGateway": false, "isDefaultGateway": false, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "%s", "routes": [{"dst": "0.0.0.0/0"}],
    "ranges": [[{"subnet": "%s", "rangeStart": "10.244.0.50", "rangeEnd": "10.244.0.250", "gateway": "%s"}]]}}]}
`, bridge, k.at("cni-addresses"), subnet, node))
	k.write("registries/_default/hosts.toml", "[host.\"http://"+node+"\"]\n  capabilities = [\"pull\", \"resolve\"]\n")
	config := k.write("containerd.toml", fmt.Sprintf(`version = 2
root = "%[1]s/containerd/root"
state = "%[1]s/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = "%[2]s"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "sluice.local/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "%[1]s/registries"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "%[3]s"
    conf_dir = "%[1]s/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`, k.state, containerd, cniPlugins()))
	k.start("containerd", nil, "containerd", "-c", config)
	k.await("containerd listens", "containerd", func() error {
		connection, err := net.Dial("unix", containerd)
		if err == nil {
			err = connection.Close()
		}
		return err
	})
}

// The longest path of a socket is 107 bytes: it is in /run, which is the bed's own.
const containerd = "/run/containerd.sock"

// startNode starts the kubelet.
func (k kubernetes) startNode(cgroup string) {
	makeCgroups(cgroup)
	k.write("node-resolv.conf", "nameserver "+dnsIP+"\n")
	config := k.write("kubelet.yaml", fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /%[1]s
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://%[2]s
clusterDNS: [%[3]s]
clusterDomain: cluster.local
resolvConf: %[4]s/node-resolv.conf
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: %[4]s/pki/ca.crt}}
authorization: {mode: AlwaysAllow}
evictionHard: {memory.available: 100Mi, nodefs.available: "1%%", imagefs.available: "1%%", nodefs.inodesFree: "0%%"}
imageGCHighThresholdPercent: 100
maxPods: 200
registerNode: true
serializeImagePulls: false
syncFrequency: 10s
podLogsDir: %[4]s/pod-logs
kubeAPIQPS: 200
kubeAPIBurst: 400
`, cgroup, containerd, dnsIP, k.state))
	k.start("kubelet", nil, "kubelet", "--config="+config, "--kubeconfig="+k.at("kubeconfig"), "--root-dir="+k.at("kubelet"),
		"--cert-dir="+k.at("kubelet/pki"), "--hostname-override=n1", "--node-ip="+node)
}

func (k kubernetes) awaitNode() {
	k.await("the node is ready", "kubelet", func() error {
		status, err := k.kubectl("", "get", "node", "n1", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && status != "True" {
			err = fmt.Errorf("Ready is %q", status)
		}
		return err
	})
}

// kubectl runs it against the bed and gives what it printed.
func (k kubernetes) kubectl(input string, arguments ...string) (string, error) {
	command := exec.Command("kubectl", append([]string{"--kubeconfig", k.at("kubeconfig"), "--cache-dir", k.at("kubectl-cache")}, arguments...)...)
	command.Stdin = strings.NewReader(input)
	var problems bytes.Buffer
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w: %s", arguments[0], err, problems.String())
	}
	return string(out), err
}

// apply applies documents server-side.
func (k kubernetes) apply(documents string) {
	_, err := k.kubectl(documents, "apply", "--server-side", "--force-conflicts", "--field-manager=bed", "-f", "-")
	check(err, "the bed's objects")
}

// applyStatus applies a status, as the controller of that kind would.
func (k kubernetes) applyStatus(path, document string) {
	request, err := http.NewRequest(http.MethodPatch, apiServer+path+"/status?fieldManager=bed&force=true", strings.NewReader(document))
	check(err, path)
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/apply-patch+yaml")
	answer, err := k.client.Do(request)
	check(err, path)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		fail(path + ": " + string(text))
	}
}
