# shellcheck shell=bash
# What the scripts here have in common: paths, and how daemons are started.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/exproto-kubernetes
bin=${KUBE_BIN:-$cache/bin}
state=${KUBE_STATE:-$cache/api}

export PATH=$bin:$PATH
export KUBECONFIG=$state/admin.kubeconfig

# start NAME COMMAND...: starts a daemon; its pid and its log are in the state. Nothing is between it and $!.
start() {
    local name=$1
    shift
    setsid "$@" >"$state/log/$name.log" 2>&1 </dev/null &
    echo $! >"$state/pid/$name"
}

# wait_for SECONDS WHAT COMMAND...: asks again and again until the command succeeds, or a daemon has ended.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)) || ! all_live; then
            echo "waited in vain: $what" >&2
            tail -n 5 "$state"/log/*.log >&2
            return 1
        fi
        sleep 0.1
    done
}

all_live() {
    local file
    for file in "$state"/pid/*; do
        kill -0 "$(<"$file")" 2>/dev/null || return 1
    done
}
