package main

// Knative Serving and Kourier: their own objects as published, their programs as processes.

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// published reads Knative's objects, which build.sh put beside its programs.
func published(patterns ...string) []string {
	controller, err := exec.LookPath("controller")
	check(err, "Knative's programs")
	config := filepath.Join(filepath.Dir(controller), "config")
	var documents []string
	for _, pattern := range patterns {
		files, _ := filepath.Glob(filepath.Join(config, pattern))
		for _, file := range files {
			if filepath.Ext(file) != ".yaml" {
				continue
			}
			text, err := os.ReadFile(file)
			check(err, file)
			documents = append(documents, string(text))
		}
		if len(files) == 0 {
			fail("Knative's modules have no " + pattern)
		}
	}
	return documents
}

// settings of the bed that differ from what Knative comes with, by ConfigMap.
var configured = map[string]string{
	"config-deployment": "registries-skipping-tag-resolving: kind.local,ko.local,dev.local,ghcr.io\n" +
		// Ten minutes is Knative's own; no story waits that long.
		"  progress-deadline: 120s\n" +
		"  queue-sidecar-cpu-request: 5m\n  queue-sidecar-memory-request: 20Mi\n  queue-sidecar-ephemeral-storage-request: 10Mi",
	"config-network": "ingress-class: kourier.ingress.networking.knative.dev\n  pod-addressability: \"true\"",
	"config-domain":  `example.com: ""`,
}

// installKnative applies what Knative and Kourier are made of, in one go.
func (k kubernetes) installKnative() {
	documents := published(
		"serving/core/100-namespace.yaml", "net-kourier/100-namespace.yaml",
		"serving/core/300-resources/*", "networking/ingress.yaml", "networking/serverlessservice.yaml",
		"networking/certificate.yaml", "networking/domain-claim.yaml", "caching/image.yaml",
		"serving/core/200-serviceaccount.yaml", "serving/core/200-roles/*", "serving/core/configmaps/*",
		"networking/config-network.yaml", "net-kourier/200-*.yaml",
		"serving/core/webhooks/secret.yaml",
		"serving/core/webhooks/defaulting.yaml", "serving/core/webhooks/resource-validation.yaml", "serving/core/webhooks/configmap-validation.yaml",
	)
	for i, document := range documents {
		document = strings.ReplaceAll(document, "ko://knative.dev/serving/cmd/queue", "sluice.local/queue-proxy:1")
		for name, lines := range configured {
			if strings.Contains(document, "\n  name: "+name+"\n") {
				document = strings.Replace(document, "\ndata:\n", "\ndata:\n  "+lines+"\n", 1)
			}
		}
		documents[i] = document
	}
	documents = append(documents,
		service("knative-serving", "webhook", webhookIP, "https-webhook 443 8443"),
		service("knative-serving", "autoscaler", autoscalerIP, "http 8080 8080", "http-metrics 9090 9090"),
		service("knative-serving", "activator-service", activatorIP, "http 80 8012", "http2 81 8013", "https 443 8112"),
		service("knative-serving", "net-kourier-controller", kourierIP, "grpc-xds 18000 18000"),
		service("kourier-system", "kourier", gatewayIP, "http2 80 8080", "https 443 8443"),
		service("kourier-system", "kourier-internal", gatewayIP, "http2 80 8081", "https 443 8444"),
	)
	k.apply(strings.Join(documents, "\n---\n"))
	k.applyStatus("/api/v1/namespaces/kourier-system/services/kourier",
		`{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kourier"}, "status": {"loadBalancer": {"ingress": [{"ip": "`+balancer+`"}]}}}`)
	say("%5.1f s  Knative is installed", time.Since(started).Seconds())
}

// service is a Service whose only endpoint is a process of the bed; a port is "NAME PORT TARGET".
func service(namespace, name, address string, ports ...string) string {
	var front, back []string
	for _, port := range ports {
		var label string
		var from, to int
		_, err := fmt.Sscan(port, &label, &from, &to)
		check(err, port)
		front = append(front, fmt.Sprintf("{name: %s, port: %d, targetPort: %d}", label, from, to))
		back = append(back, fmt.Sprintf("{name: %s, port: %d}", label, to))
	}
	kind, labels := "ClusterIP", "app: "+name
	if namespace == "kourier-system" {
		labels += ", networking.knative.dev/ingress-provider: kourier"
	}
	if name == "kourier" {
		kind = "LoadBalancer"
	}
	to := strings.Join(back, ", ")
	// Knative reads Endpoints, kube-proxy reads EndpointSlices: both are written, and not mirrored.
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %[2]s, namespace: %[1]s, labels: {%[6]s}}
spec: {type: %[7]s, ports: [%[4]s]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: %[2]s, namespace: %[1]s, labels: {endpointslice.kubernetes.io/skip-mirror: "true"}}
subsets: [{addresses: [{ip: %[3]s}], ports: [%[5]s]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[2]s-bed, namespace: %[1]s, labels: {kubernetes.io/service-name: %[2]s, endpointslice.kubernetes.io/managed-by: bed}}
addressType: IPv4
endpoints: [{addresses: [%[3]s], conditions: {ready: true, serving: true}}]
ports: [%[5]s]
`, namespace, name, address, strings.Join(front, ", "), to, labels, kind)
}

// startKnative starts its processes, each at the address that its Service names.
func (k kubernetes) startKnative() {
	start := func(name, address, program string, more ...string) {
		k.startIn(name, address, append([]string{
			"KUBECONFIG=" + k.at("kubeconfig"), "SYSTEM_NAMESPACE=knative-serving", "POD_NAME=" + name + "-0", "POD_IP=" + address,
			"CONFIG_LOGGING_NAME=config-logging", "CONFIG_OBSERVABILITY_NAME=config-observability",
		}, more...), program)
	}
	start("webhook", webhookIP, "webhook", "WEBHOOK_NAME=webhook", "WEBHOOK_PORT=8443")
	start("controller", controllerIP, "controller")
	start("autoscaler", autoscalerIP, "autoscaler")
	start("activator", activatorIP, "activator", "GOGC=500")
	start("kourier", kourierIP, "kourier", "KOURIER_GATEWAY_NAMESPACE=kourier-system", "KUBE_API_QPS=200", "KUBE_API_BURST=200")
	k.startIn("gateway", gatewayIP, nil, "envoy", "--disable-hot-restart", "--concurrency", "2", "--log-level", "info", "-c", k.write("envoy.yaml", bootstrap()))
}

// bootstrap is Envoy's, from Kourier's ConfigMap, with an address in the place of a name.
func bootstrap() string {
	_, text, found := strings.Cut(published("net-kourier/200-bootstrap.yaml")[0], "  envoy-bootstrap.yaml: |\n")
	if !found {
		fail("Kourier's bootstrap is not where it was")
	}
	text = strings.ReplaceAll(text, "\n    ", "\n")
	return strings.ReplaceAll(strings.TrimPrefix(text, "    "), "net-kourier-controller.knative-serving", kourierIP)
}

func (k kubernetes) awaitKnative() {
	plain := &http.Client{Timeout: 2 * time.Second}
	const prober = "kube-probe/1.34"
	k.await("Knative's controller is ready", "controller", answers(plain, "http://"+controllerIP+":8080/readiness"))
	k.await("the autoscaler is ready", "autoscaler", answers(plain, "http://"+autoscalerIP+":8080/", "User-Agent", prober))
	k.await("the activator is ready", "activator", answers(plain, "http://"+activatorIP+":8012/", "User-Agent", prober))
	k.await("the gateway is ready", "gateway", answers(plain, "http://"+gatewayIP+":8081/ready", "Host", "internalkourier"))
	for _, hook := range []string{"mutatingwebhookconfiguration/webhook.serving.knative.dev", "validatingwebhookconfiguration/validation.webhook.serving.knative.dev", "validatingwebhookconfiguration/config.webhook.serving.knative.dev"} {
		k.await(hook+" has its certificate", "webhook", func() error {
			bundle, err := k.kubectl("", "get", hook, "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
			if err == nil && bundle == "" {
				err = fmt.Errorf("no caBundle yet")
			}
			return err
		})
	}
}
