#!/bin/sh
# Two gateways that work as one: a Redis server, two demos that share it, and somebody at each of them.
#
# Usage: ./run.sh           shows a message from one to the other, and leaves all of it running until Ctrl-C
#        ./run.sh --check   ends once the message has come
#
# Wanted: redis-server (7.0 or newer), nc, and cargo or GATEWAY, the path of an exproto-gateway.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
redis_port=${REDIS_PORT:-16379}
folder=$(mktemp -d)
started=''

finish() {
    for pid in $started; do
        kill "$pid" 2>/dev/null || true
    done
    wait
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

fail() {
    echo "$*" >&2
    exit 1
}

for tool in redis-server nc; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
done
if [ -z "${GATEWAY:-}" ]; then
    (cd "$here/../.." && cargo build --release -p exproto-gateway)
    GATEWAY=${CARGO_TARGET_DIR:-$here/../../target}/release/exproto-gateway
fi

# wait_for FILE TEXT [TIMES]: until a file holds a text, so often.
wait_for() {
    tries=0
    while count=$(grep -c -- "$2" "$1" 2>/dev/null || true) && [ "${count:-0}" -lt "${3:-1}" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "no '$2' in $1: $(cat "$1")"
        sleep 0.1
    done
}

redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no >"$folder/redis.log" &
started="$started $!"
wait_for "$folder/redis.log" 'Ready to accept connections'

# All pods of a cluster have the same key.
head -c 32 /dev/urandom >"$folder/key"

# pod NAME OFFSET: a demo on its own ports.
pod() {
    "$GATEWAY" demo --pod "$1" --key-file "$folder/key" --redis "redis://127.0.0.1:$redis_port" \
        --device "127.0.0.1:$((7993 + $2))" --adapter "127.0.0.1:$((9100 + $2))" \
        --handler "127.0.0.1:$((9001 + $2))" --http "127.0.0.1:$((9102 + $2))" \
        --peers "127.0.0.1:$((9103 + $2))" >"$folder/$1.log" 2>&1 &
    started="$started $!"
    wait_for "$folder/$1.log" 'Ctrl-C ends the demo'
}
pod one 0
pod two 1000

# somebody FILE PORT: an nc that is fed by a pipe, and what it reads.
somebody() {
    mkfifo "$folder/$1.in"
    nc 127.0.0.1 "$2" <"$folder/$1.in" >"$folder/$1" &
    started="$started $!"
}
somebody truck 7993
exec 3>"$folder/truck.in"
somebody office 8993
exec 4>"$folder/office.in"

echo 'name office' >&4
echo 'sub fleet/+' >&4
wait_for "$folder/office" '+ok' 2
echo 'name truck' >&3
echo 'pub fleet/1 hello from the other pod' >&3
wait_for "$folder/office" 'fleet/1 truck: hello from the other pod'

echo
echo 'The truck at pod one said:      pub fleet/1 hello from the other pod'
echo "The office at pod two has read: $(grep hello "$folder/office")"
[ "${1:-}" = --check ] && exit 0
echo
echo 'Try it: nc 127.0.0.1 7993 (pod one), nc 127.0.0.1 8993 (pod two), and in each name, sub, pub.'
echo 'Ctrl-C ends all of it.'
wait
