#!/usr/bin/env bash
# Starts etcd and kube-apiserver on the loopback address: an API as that of any Kubernetes, without nodes.
#
# Usage: ci/kubernetes/up.sh
# $KUBE_STATE is where they keep all that they have; $KUBE_API_PORT, $KUBE_ETCD_PORT and $KUBE_PEER_PORT (where etcd would
# have its peers) are their ports. `admin.kubeconfig` in the state is for whoever may do everything. down.sh ends them.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=ci/kubernetes/common.sh
source "$here/common.sh"

api=${KUBE_API_PORT:-16443}
etcd=${KUBE_ETCD_PORT:-12379}
peers=${KUBE_PEER_PORT:-12380}
pki=$state/pki

main() {
    if [ -e "$state/pid" ]; then
        echo "there is one already in $state: run down.sh first" >&2
        exit 1
    fi
    mkdir -p "$state"/{log,pid} "$pki"
    keys
    servers
}

keys() {
    local ec=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc)
    openssl req -x509 "${ec[@]}" -days 30 -keyout "$pki/ca.key" -out "$pki/ca.crt" -subj /CN=local 2>/dev/null
    openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
    certificate apiserver /CN=kube-apiserver IP:127.0.0.1
    certificate admin /O=system:masters/CN=admin IP:127.0.0.1
    local config=(kubectl --kubeconfig "$KUBECONFIG" config)
    {
        "${config[@]}" set-cluster local --server "https://127.0.0.1:$api" --embed-certs \
            --certificate-authority "$pki/ca.crt"
        "${config[@]}" set-credentials admin --embed-certs \
            --client-certificate "$pki/admin.crt" --client-key "$pki/admin.key"
        "${config[@]}" set-context local --cluster local --user admin
        "${config[@]}" use-context local
    } >/dev/null
}

# certificate NAME SUBJECT SAN: a key, and a certificate of our authority.
certificate() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc \
        -keyout "$pki/$1.key" -subj "$2" -out "$pki/$1.csr" 2>/dev/null
    openssl x509 -req -in "$pki/$1.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 30 \
        -extfile <(printf 'extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=%s\n' "$3") \
        -out "$pki/$1.crt" 2>/dev/null
}

servers() {
    local peer=http://127.0.0.1:$peers
    start etcd etcd --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
    # A loopback address cannot be an endpoint of the Service `kubernetes`.
    start kube-apiserver kube-apiserver --etcd-servers "http://127.0.0.1:$etcd" \
        --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$api" --endpoint-reconciler-type none \
        --service-cluster-ip-range 10.96.0.0/16 --authorization-mode RBAC --profiling=false \
        --client-ca-file "$pki/ca.crt" \
        --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$pki/sa.key" --service-account-signing-key-file "$pki/sa.key"
    wait_for 60 'kube-apiserver to be ready' kubectl get --raw /readyz
}

main
