//! The adapter and the management API: who is let in, and over what.

use crate::{Caller, Config, ServerTls, Verify};

use super::Report;

pub(super) fn check(config: &Config, report: &mut Report) {
    adapter(config, report);
    let callers = &config.adapter.callers;
    for (index, caller) in callers.iter().enumerate() {
        let field = format!("adapter.callers[{index}]");
        one_caller(caller, &field, config.adapter.tls.verify, report);
        twins(&callers[..index], caller, &field, report);
    }
    tls(
        "adapter.tls",
        &config.adapter.tls,
        "required or optional",
        report,
    );
    management(config, report);
}

fn adapter(config: &Config, report: &mut Report) {
    let adapter = &config.adapter;
    if !adapter.bind.is_loopback() && adapter.callers.is_empty() && !adapter.insecure {
        let text = format!(
            "{} lets other machines in, and callers are not authenticated; write \
             adapter.callers, or let only the handler reach the port and write adapter.insecure: \
             true, or bind a loopback address",
            adapter.bind
        );
        report.add("adapter.bind", text);
    }
}

fn one_caller(caller: &Caller, field: &str, verify: Verify, report: &mut Report) {
    let plain = |c: char| c.is_ascii_graphic();
    if !(1..=63).contains(&caller.name.len()) || !caller.name.chars().all(plain) {
        let text = format!(
            "\"{}\" cannot name a caller; write 1 to 63 ASCII characters, no blanks",
            caller.name.escape_debug()
        );
        report.add(&format!("{field}.name"), text);
    }
    if caller.token_file.is_none() && caller.certificate.is_none() {
        let text = format!(
            "nothing tells who \"{}\" is; write token_file, or certificate",
            caller.name
        );
        report.add(field, text);
    }
    if caller.certificate.as_deref() == Some("") {
        let text = "it names nobody; write the common name, a DNS name or a URI of the certificate";
        report.add(&format!("{field}.certificate"), text);
    } else if caller.certificate.is_some() && verify == Verify::None {
        let text = "no caller is asked for a certificate; write adapter.tls.verify: required or \
                    optional, or token_file instead";
        report.add(&format!("{field}.certificate"), text);
    }
    if caller.scopes.is_empty() {
        let text = "the list is empty; write what the caller may call, or remove the caller";
        report.add(&format!("{field}.scopes"), text);
    }
}

/// Callers that cannot be told apart.
fn twins(before: &[Caller], caller: &Caller, field: &str, report: &mut Report) {
    let place = |same: &dyn Fn(&Caller) -> bool| before.iter().position(same);
    if let Some(twin) = place(&|other| other.name == caller.name) {
        let text = format!(
            "adapter.callers[{twin}] is called \"{}\" too; give each a name of its own",
            caller.name
        );
        report.add(&format!("{field}.name"), text);
    }
    if let Some(certificate) = &caller.certificate
        && let Some(twin) = place(&|other| other.certificate.as_ref() == Some(certificate))
    {
        let text =
            format!("adapter.callers[{twin}] has \"{certificate}\" too; write it at one of them");
        report.add(&format!("{field}.certificate"), text);
    }
    if let Some(file) = &caller.token_file
        && let Some(twin) = place(&|other| other.token_file.as_ref() == Some(file))
    {
        let text = format!(
            "adapter.callers[{twin}] has {} too; give each tokens of its own",
            file.display()
        );
        report.add(&format!("{field}.token_file"), text);
    }
}

/// `asks`: the words of `verify` that ask for certificates.
fn tls(field: &str, tls: &ServerTls, asks: &str, report: &mut Report) {
    let verifies = tls.verify != Verify::None;
    if tls.certificate.is_none() && verifies {
        let text = format!(
            "there is no TLS to ask for certificates in; write {field}.certificate, or none"
        );
        report.add(&format!("{field}.verify"), text);
    }
    if verifies && tls.ca_file.is_none() {
        let text = format!(
            "it needs to be known who signs callers' certificates; write {field}.ca_file, or none"
        );
        report.add(&format!("{field}.verify"), text);
    }
    for (key, file) in [("ca_file", &tls.ca_file), ("crl_file", &tls.crl_file)] {
        if !verifies && file.is_some() {
            let text = format!(
                "no caller is asked for a certificate; write {field}.verify: {asks}, \
                 or remove it"
            );
            report.add(&format!("{field}.{key}"), text);
        }
    }
}

fn management(config: &Config, report: &mut Report) {
    let management = &config.management;
    if management.tls.verify == Verify::Optional {
        let text = "a certificate tells nothing there unless everybody shows one; write required, \
                    or none";
        report.add("management.tls.verify", text);
        return;
    }
    tls("management.tls", &management.tls, "required", report);
    if management.is_on() && !management.bind.is_loopback() && management.tls.certificate.is_none()
    {
        let text = format!(
            "{} lets other machines in, and tokens would be readable on the network; write \
             management.tls.certificate, or bind a loopback address",
            management.bind
        );
        report.add("management.bind", text);
    }
}

#[cfg(test)]
mod tests;
