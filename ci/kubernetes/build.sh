#!/usr/bin/env bash
# Builds Kubernetes (etcd, kube-apiserver and kubectl, in one program) from the sources that the Go proxy has.
#
# Usage: ci/kubernetes/build.sh
# It wants Go. What it builds is kept in $KUBE_BIN, by default in the user's cache, and built again when go.mod changes.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=ci/kubernetes/common.sh
source "$here/common.sh"

mkdir -p "$bin"
# One at a time: tests start together.
exec 9>"$bin/lock"
flock 9

cd "$here/tools"
wanted=$(cat go.mod go.sum cmd/*/*.go | sha256sum)
if [ -x "$bin/kube" ] && [ "$(cat "$bin/built" 2>/dev/null)" = "$wanted" ]; then
    exit
fi

version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
minor=${minor%%.*}
flags='-s -w'
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor"
done
CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$bin/" ./cmd/...
for name in etcd kube-apiserver kubectl; do
    ln -sf kube "$bin/$name"
done
echo "$wanted" >"$bin/built"
