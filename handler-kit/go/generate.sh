#!/usr/bin/env bash
# Makes the Go code of the contracts, exprotov1/ and streamv1/, from proto/. It needs Go alone, no protoc.
#
# Usage: ./generate.sh [--check]
#   --check  writes nothing, and fails where the code here is not what proto/ gives

set -euo pipefail
cd "$(dirname "$0")"

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
proto=$(cd ../../proto && pwd)
(cd internal/generate && go run . "$proto" "$made")

case "$*" in
    '')
        cp -R "$made"/. .
        ;;
    --check)
        for folder in exprotov1 streamv1; do
            if ! diff -r "$folder" "$made/$folder"; then
                echo "handler-kit/go/$folder is not what proto/ gives: run handler-kit/go/generate.sh" >&2
                exit 1
            fi
        done
        ;;
    *)
        echo 'usage: ./generate.sh [--check]' >&2
        exit 2
        ;;
esac
