package main

// Container images made of one program each, with the libraries that it asks for and nothing else.

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// image is a manifest and what it refers to, by digest.
type image struct {
	manifest []byte
	digest   string
}

// A user that is not root: the queue-proxy insists.
const imageUser = "65532"

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// layerOf packs a program as /NAME, with its libraries where its loader looks for them.
func layerOf(program, name string) []byte {
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	folder := func(name string, mode int64) {
		check(archive.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode}), name)
	}
	file := func(name string, content []byte, mode int64) {
		check(archive.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}), name)
		_, err := archive.Write(content)
		check(err, name)
	}
	folder("tmp/", 0o1777)
	folder("etc/", 0o755)
	file("etc/passwd", []byte("root:x:0:0::/:/x\nnonroot:x:"+imageUser+":"+imageUser+"::/tmp:/x\n"), 0o644)
	file(name, stripped(program), 0o755)
	for _, library := range libraries(program) {
		content, err := os.ReadFile(library)
		check(err, library)
		file(library[1:], content, 0o755)
	}
	check(archive.Close(), name)
	return packed.Bytes()
}

// stripped is a program without its symbols, which would double what every node unpacks.
func stripped(program string) []byte {
	// Two beds have the same process ids, each in a namespace of its own.
	small, err := os.CreateTemp("", "bed-strip-")
	check(err, "a file for a program without its symbols")
	defer os.Remove(small.Name())
	check(small.Close(), small.Name())
	if exec.Command("strip", "-o", small.Name(), program).Run() == nil {
		program = small.Name()
	}
	content, err := os.ReadFile(program)
	check(err, program)
	return content
}

// libraries are the shared libraries of a program, its loader among them.
func libraries(program string) []string {
	var found []string
	seen := map[string]bool{}
	var walk func(file string)
	walk = func(file string) {
		binary, err := elf.Open(file)
		check(err, file)
		defer binary.Close()
		for _, part := range binary.Progs {
			if part.Type == elf.PT_INTERP {
				loader, err := io.ReadAll(part.Open())
				check(err, file)
				if at := string(bytes.TrimRight(loader, "\x00")); !seen[path.Base(at)] {
					seen[path.Base(at)] = true
					found = append(found, at)
				}
			}
		}
		names, err := binary.ImportedLibraries()
		check(err, file)
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			at := locate(name)
			found = append(found, at)
			walk(at)
		}
	}
	walk(program)
	return found
}

func locate(library string) string {
	for _, pattern := range []string{"/lib/*-linux-gnu/", "/usr/lib/*-linux-gnu/", "/lib64/", "/usr/lib64/", "/usr/lib/"} {
		if at, _ := filepath.Glob(pattern + library); len(at) > 0 {
			return at[0]
		}
	}
	fail("no such library: " + library)
	return ""
}

// imageOf is an image of one layer with this entrypoint.
func imageOf(store *registry, layer blob, entrypoint ...string) image {
	config, err := json.Marshal(map[string]any{
		"architecture": goArch(),
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": entrypoint, "User": imageUser, "WorkingDir": "/", "Env": []string{"PATH=/"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{layer.digest}},
	})
	check(err, "an image's config")
	settings := store.keep(config)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     manifestType,
		"config":        map[string]any{"mediaType": configType, "digest": settings.digest, "size": len(config)},
		"layers":        []any{map[string]any{"mediaType": layerType, "digest": layer.digest, "size": layer.size}},
	})
	check(err, "an image's manifest")
	return image{manifest: manifest, digest: digest(manifest)}
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
