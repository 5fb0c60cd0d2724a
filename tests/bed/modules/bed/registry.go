package main

// A registry that serves the bed's images, read only: what is under sluice.local, and what the examples
// name elsewhere. Knative resolves tags against it and the node pulls from it, as they would anywhere.

import (
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
)

type blob struct {
	digest string
	size   int
}

type registry struct {
	blobs  map[string][]byte
	images map[string]image
}

func goArch() string { return runtime.GOARCH }

// samples are the images of the sluice program's own sample apps.
var samples = map[string]string{
	"hello": "hello", "random": "random", "fail": "fail", "slow": "slow", "crash": "crash",
	"knative/helloworld-go": "hello", "sluice-examples/hello": "hello", "sluice-examples/random": "random",
}

// stock fills the registry; without a sluice program there are no samples.
func stock(self, queueProxy, sluice string) *registry {
	r := &registry{blobs: map[string][]byte{}, images: map[string]image{}}
	r.images["pause"] = imageOf(r, r.keep(layerOf(self, "bed")), "/bed", "pause")
	r.images["queue-proxy"] = imageOf(r, r.keep(layerOf(queueProxy, "queue")), "/queue")
	if sluice != "" {
		layer := r.keep(layerOf(sluice, "sluice"))
		for name, sample := range samples {
			r.images[name] = imageOf(r, layer, "/sluice", "sample", sample)
		}
		r.images["sluice"] = imageOf(r, layer, "/sluice")
	}
	return r
}

func (r *registry) keep(content []byte) blob {
	kept := blob{digest: digest(content), size: len(content)}
	r.blobs[kept.digest] = content
	return kept
}

func (r *registry) serve() {
	listener, err := net.Listen("tcp", node+":80")
	check(err, "the registry")
	go func() { check(http.Serve(listener, r), "the registry") }()
}

// ServeHTTP knows /v2/, /v2/NAME/manifests/REFERENCE and /v2/NAME/blobs/DIGEST. Any tag is the image.
func (r *registry) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	path := strings.TrimPrefix(request.URL.Path, "/v2/")
	if path == "" {
		return
	}
	if name, reference, ok := strings.Cut(path, "/manifests/"); ok {
		image, known := r.images[name]
		if known && (!strings.HasPrefix(reference, "sha256:") || reference == image.digest) {
			send(answer, request, manifestType, image.digest, image.manifest)
			return
		}
	} else if _, wanted, ok := strings.Cut(path, "/blobs/"); ok {
		if content, known := r.blobs[wanted]; known {
			send(answer, request, "application/octet-stream", wanted, content)
			return
		}
	}
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(http.StatusNotFound)
	_, _ = answer.Write([]byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"the bed has no such image"}]}`))
}

func send(answer http.ResponseWriter, request *http.Request, kind, digest string, content []byte) {
	answer.Header().Set("Content-Type", kind)
	answer.Header().Set("Content-Length", strconv.Itoa(len(content)))
	answer.Header().Set("Docker-Content-Digest", digest)
	if request.Method == http.MethodGet {
		_, _ = answer.Write(content)
	}
}
