#!/bin/sh
# Makes the Python stubs of the service for back ends: exproto/gateway/v1/backend_pb2.py, and what it needs.
#
# Usage: ./generate.sh [FOLDER]     FOLDER is ./stubs unless told.
# PYTHON is the interpreter that has grpcio-tools; .venv/bin/python unless told.

set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
proto=$here/../../../proto
out=${1:-$here/stubs}
python=${PYTHON:-$here/.venv/bin/python}

mkdir -p "$out"
"$python" -m grpc_tools.protoc --proto_path="$proto" --python_out="$out" --grpc_python_out="$out" \
    exproto.proto exproto/gateway/v1/backend.proto
