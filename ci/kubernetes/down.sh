#!/usr/bin/env bash
# Ends what up.sh has started, by the pids that it noted, and removes the state.
#
# Usage: ci/kubernetes/down.sh

set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=ci/kubernetes/common.sh
source "$here/common.sh"

# end NAME: what it has will be removed, so it need not end in order.
end() {
    local file=$state/pid/$1
    if [ -e "$file" ]; then
        kill -KILL "$(<"$file")" 2>/dev/null
    fi
}

end kube-apiserver
end etcd
[ ! -e "$state/pid" ] || rm -rf "$state"
