#!/usr/bin/env bash
# Builds the kubectl of the transcript test from its Go module, once, into the cache, and
# prints where it is. Distributions ship one that is years old; this one is pinned in go.mod.
#
# Where it cannot be had the transcript test is skipped, loudly, unless SLUICE_REQUIRE_KUBECTL
# is set, which makes that a failure.
set -euo pipefail
cd "$(dirname "$0")"

version=$(sed -n 's/^[[:space:]]*k8s\.io\/kubernetes \(v[0-9.]*\).*/\1/p' go.mod)
cache=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
program=$cache/bin/kubectl-$version

cannot() {
	echo "kubectl $version cannot be built: $*" >&2
	if [ -n "${SLUICE_REQUIRE_KUBECTL:-}" ]; then
		echo "SLUICE_REQUIRE_KUBECTL is set, so this is a failure." >&2
		exit 1
	fi
	echo "******** The kubectl transcript test will be SKIPPED. ********" >&2
	exit 0
}

if [ -x "$program" ]; then
	echo "$program"
	exit 0
fi
command -v go >/dev/null || cannot "Go is not installed (1.24 or later is needed)."

mkdir -p "$cache/bin"
# Nobody sees a half-written program: several builds may run side by side, the last one wins.
partial=$(mktemp "$program.XXXXXX")
trap 'rm -f "$partial"' EXIT
echo "Building kubectl $version: a few minutes, once." >&2
# Unstamped, it would call itself v0.0.0-master.
stamp="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/client-go/pkg/version.gitVersion=$version"
CGO_ENABLED=0 nice -n 10 go build -mod=readonly -trimpath -ldflags "-s -w $stamp" \
	-o "$partial" k8s.io/kubernetes/cmd/kubectl || cannot "go build failed, see above."
chmod 755 "$partial"
mv "$partial" "$program"
echo "$program"
