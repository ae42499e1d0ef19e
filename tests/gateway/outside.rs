//! Clients that nobody here wrote, against the program with a configuration file. What a client is missing is an error
//! that names its Debian package.

use std::{path::Path, process::Command};

use exproto_tests::{Pki, Pod, Process, pki::Files};

/// TLS with certificates: `openssl s_client`.
mod tls;
/// Certificates of devices: `openssl s_client`.
mod mtls;
/// TLS with shared keys: `openssl s_client`.
mod psk;
/// Certificates and configurations that change: `openssl s_client`.
mod reload;
/// DTLS: `openssl s_client`.
mod dtls;
/// PROXY protocol: `curl`, `socat` and `nc`.
mod proxy;
/// UDP: `nc`, `socat` and `bash`.
mod udp;
/// WebSocket: the Python package `websockets`, and `curl`.
mod websocket;
/// Lines, and who is let in: `nc`.
mod limits;

/// The name in the listener's certificate.
const SERVER: &str = "gateway.test";

/// `openssl s_client`, connected to the pod.
fn s_client(pod: &Pod, arguments: &[&str]) -> Process {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &pod.address().to_string()])
        .args(arguments);
    Process::start(&mut command, "openssl")
}

/// `openssl s_client` that wants a listener of that name, and leaves unless it has a certificate of this authority.
fn checking(pod: &Pod, pki: &Pki, name: &str, more: &[&str]) -> Process {
    let ca = text(&pki.ca_file());
    let mut arguments = vec!["-servername", name, "-verify_hostname", name];
    arguments.extend(["-CAfile", &ca, "-verify_return_error"]);
    arguments.extend(more);
    s_client(pod, &arguments)
}

/// `nc`, connected to the pod.
fn nc(pod: &Pod, arguments: &[&str]) -> Process {
    let (host, port) = (pod.address().ip(), pod.address().port());
    let mut command = Command::new("nc");
    command
        .args(arguments)
        .args([host.to_string(), port.to_string()]);
    Process::start(&mut command, "netcat-openbsd")
}

/// A path as an argument.
fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A certificate as it stands in `tls.certificates`.
fn certificate(files: &Files) -> String {
    let (chain, key) = (files.chain.display(), files.key.display());
    format!("{{chain: \"{chain}\", key: \"{key}\"}}")
}

/// A line goes to the handler, and comes back.
async fn echoes(pod: &Pod, client: &mut Process, line: &str) {
    client.say(format!("{line}\n"));
    assert_eq!(pod.echo().await, format!("{line}\n"));
    client.output.sees(line).await;
}
