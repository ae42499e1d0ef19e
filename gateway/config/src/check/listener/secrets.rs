//! Certificates, shared keys, and what is asked of devices.

use crate::{DtlsVersion, Transport, Verify};

use super::{One, word};

pub(super) fn check(one: &mut One) {
    if one.listener.transport.is_secure() {
        needed(one);
    } else {
        unused(one);
    }
    verification(one);
    versions(one);
    if one.listener.psk.identity_hint.is_some() && one.listener.psk.file.is_none() {
        let text = "without psk.file no device is told; write that too, or remove it";
        one.add("psk.identity_hint", text);
    }
}

/// A transport without a handshake: who writes a certificate means one with.
fn unused(one: &mut One) {
    let transport = one.listener.transport;
    let secure = match transport {
        Transport::Udp | Transport::Dtls => "dtls",
        Transport::Ws | Transport::Wss => "wss",
        Transport::Tcp | Transport::Tls => "tls",
    };
    let text = |instead: &str| {
        let transport = word(transport);
        format!("transport {transport} does not use it; {instead}remove it")
    };
    let instead = format!("write transport: {secure}, or ");
    if !one.listener.tls.certificates.is_empty() {
        one.add("tls.certificates", text(&instead));
    }
    if one.listener.tls.verify != Verify::None {
        one.add("tls.verify", text(&instead));
    }
    if one.listener.psk.file.is_some() {
        let instead = if transport == Transport::Ws {
            ""
        } else {
            &instead
        };
        one.add("psk.file", text(instead));
    }
}

/// A transport with a handshake needs something to show.
fn needed(one: &mut One) {
    let certificates = !one.listener.tls.certificates.is_empty();
    let psk = one.listener.psk.file.is_some();
    match (one.listener.transport, certificates, psk) {
        (Transport::Wss, _, true) => {
            let text = "transport wss takes certificates only; remove it, or write transport: tls";
            one.add("psk.file", text);
        }
        (Transport::Wss, false, false) => {
            let text = "transport wss needs one; write the files of its chain and key";
            one.add("tls.certificates", text);
        }
        (transport, false, false) => {
            let text = format!(
                "transport {} needs one, or shared keys; write the files of its chain and key, or \
                 psk.file",
                word(transport)
            );
            one.add("tls.certificates", text);
        }
        (Transport::Tls, true, true) => {
            let text = "transport tls has certificates or shared keys; remove it, or remove \
                        tls.certificates and give the keys a listener of their own";
            one.add("psk.file", text);
        }
        _ => {}
    }
}

fn verification(one: &mut One) {
    let tls = &one.listener.tls;
    if tls.verify == Verify::None {
        let text = "no device is asked for a certificate; write tls.verify: required or optional, \
                    or remove it";
        for (field, file) in [
            ("tls.ca_file", &tls.ca_file),
            ("tls.crl_file", &tls.crl_file),
        ] {
            if file.is_some() {
                one.add(field, text);
            }
        }
        return;
    }
    if tls.ca_file.is_none() {
        let text = "it needs to be known who signs devices' certificates; write tls.ca_file, or \
                    tls.verify: none";
        one.add("tls.verify", text);
    }
    if tls.certificates.is_empty() && one.listener.psk.file.is_some() {
        let text = "devices with shared keys show no certificate; write none, or tls.certificates \
                    instead of psk.file";
        one.add("tls.verify", text);
    }
}

fn versions(one: &mut One) {
    let listener = one.listener;
    let [version] = listener.dtls.versions[..] else {
        let text = "one version is needed, and two cannot share a port; write [\"1.2\"] or \
                    [\"1.3\"], and give each a listener of its own";
        one.add("dtls.versions", text);
        return;
    };
    if listener.transport != Transport::Dtls || version == DtlsVersion::V1_2 {
        return;
    }
    if listener.psk.file.is_some() {
        let text =
            "DTLS 1.3 takes no shared keys here; remove it, or write dtls.versions: [\"1.2\"]";
        one.add("psk.file", text);
    }
    if listener.tls.verify != Verify::None {
        let text = "DTLS 1.3 asks devices for no certificate here; write none, or dtls.versions: \
                    [\"1.2\"]";
        one.add("tls.verify", text);
    }
    if listener.tls.certificates.len() > 1 {
        let text = "DTLS 1.3 shows one certificate here; remove the others, or write \
                    dtls.versions: [\"1.2\"]";
        one.add("tls.certificates[1]", text);
    }
}
