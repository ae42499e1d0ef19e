use std::fs;

use super::*;
use crate::{Bind, Transport};

mod broken;
mod docs;

fn error(text: &str) -> String {
    Config::parse(text, "gateway.yaml")
        .expect_err(text)
        .to_string()
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "gateway.yaml").map_err(|error| error.to_string())
}

fn bind(text: &str) -> Bind {
    text.parse().unwrap()
}

#[test]
fn an_empty_file_leaves_the_defaults() {
    for text in [
        "",
        "\n# nothing\n",
        "---\n",
        "{}",
        "adapter:\nhttp:\n",
        "\u{feff}",
    ] {
        assert_eq!(parse(text), Ok(Config::default()), "{text:?}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let config = Config::parse(
        "pod: {name: gateway-0}\n\
         cluster: {key_file: /etc/key}\n\
         listeners: [{name: a, bind: 7000, idle_timeout: 1m30s}, {name: b, bind: '[::1]:7001'},\n\
         {name: c, bind: 7002, framing: {kind: flag, flag: {escapes: [7d02=7e]}, delimiter: {bytes: 1e10}}},\n\
         {name: d, bind: 7003, transport: dtls, dtls: {versions: ['1.3']}, idle_timeout: 10m, \
         tls: {certificates: [{chain: /tls/tls.crt, key: /tls/tls.key}]}},\n\
         {name: e, bind: 7004, framing: {kind: length, length: {adjustment: -2}}, limits: \
         {max_connections_per_ip: 5, connection_rate: 600/1m, access: [allow ::1, deny all], \
         traffic: {bytes_in: 1MiB/s}}}]\n\
         bans: {list: [{who: 10.0.0.0/8, until: 2027-01-31T12:00:00Z}, {who: 'clientid:c'}]}\n\
         mountpoint: ${clientid}/\n\
         connection: {inbound_limit: 65536, flush_timeout: 0s}\n\
         handler: {addresses: [h:1, '[::1]:2'], on_handler_loss: rebind}\n\
         adapter: {bind: 9100, insecure: true, advertised_address: g:9100}\n\
         log: {level: 'info,exproto_gateway=debug', format: json}\n",
        "gateway.yaml",
    )
    .unwrap();
    assert_eq!(config.listeners[0].bind, bind("[::]:7000"));
    assert_eq!(config.listeners[1].transport, Transport::Tcp);
    let text = serde_saphyr::to_string(&config).unwrap();
    assert_eq!(parse(&text), Ok(config));
}

#[test]
fn a_handler_that_is_found_elsewhere_has_no_address_by_default() {
    for found in ["dns: {name: h, nameservers: [10.0.0.1]}", "file: /handlers"] {
        let config = parse(&format!("handler: {{{found}}}")).unwrap();
        assert_eq!(config.handler.addresses, []);
        let text = serde_saphyr::to_string(&config).unwrap();
        assert_eq!(parse(&text), Ok(config));
    }
}

#[test]
fn a_file_is_loaded_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    let error = Config::load(&path, []).unwrap_err();
    assert!(matches!(&error, Error::Read { .. }));
    assert!(error.to_string().starts_with("cannot read /"), "{error}");

    fs::write(&path, "drain: {rate: 5}\n").unwrap();
    assert_eq!(Config::load(&path, []).unwrap().drain.rate, 5);

    fs::write(&path, "drain: {rate: x}\n").unwrap();
    let error = Config::load(&path, []).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}:1:15: drain.rate: ", path.display())),
        "{error}"
    );
}

#[test]
fn rules_across_fields_are_reported_together() {
    let text = "listeners:\n  - bind: 1\n  - bind: 1\nadapter: {bind: 9100}\n";
    assert_eq!(
        error(text),
        "gateway.yaml:3:5: listeners[1].name: listeners[0] is called \"tcp\" too; give each a name of \
         its own\n\
         gateway.yaml:3:11: listeners[1].bind: [::]:1 clashes with [::]:1 of listeners[0].bind; \
         choose another port\n\
         gateway.yaml:4:17: adapter.bind: [::]:9100 lets other machines in, and callers are not \
         authenticated; write adapter.callers, or let only the handler reach the port and write \
         adapter.insecure: true, or bind a loopback address"
    );
}

#[test]
fn port_0_clashes_with_nothing() {
    let text = "listeners: [{bind: 127.0.0.1:0}]\n\
                adapter: {bind: 127.0.0.1:0}\n\
                http: {bind: 127.0.0.1:0}\n";
    assert!(parse(text).is_ok());
}
