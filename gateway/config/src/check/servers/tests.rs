use crate::{Config, Error, Scope};

fn problems(text: &str) -> Vec<String> {
    match Config::parse(text, "gateway.yaml") {
        Ok(_) => Vec::new(),
        Err(Error::Invalid { problems }) => problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.field, problem.text))
            .collect(),
        Err(error) => panic!("{error}"),
    }
}

const MTLS: &str = "certificate: {chain: c, key: k}, verify: required, ca_file: a";

#[test]
fn servers_that_cannot_be_are_refused() {
    for (text, expected) in REFUSED {
        let text = text.replace("MTLS", MTLS);
        assert_eq!(problems(&text), [*expected], "{text}");
    }
}

#[test]
fn servers_that_can_be_are_taken() {
    for text in TAKEN {
        let text = text.replace("MTLS", MTLS);
        assert_eq!(problems(&text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_caller_may_do_all_but_raw_unless_it_is_said() {
    let text = "adapter: {callers: [{name: a, token_file: t}]}";
    let config = Config::parse(text, "gateway.yaml").unwrap();
    let scopes = &config.adapter.callers[0].scopes;
    assert_eq!(*scopes, [Scope::Send, Scope::Session, Scope::Publish]);
}

#[test]
fn the_management_api_is_off_unless_somebody_may_use_it() {
    let on = |text: &str| {
        let text = text.replace("MTLS", MTLS);
        let config = Config::parse(&text, "gateway.yaml").unwrap();
        config.management.is_on()
    };
    assert!(!on("{}"));
    assert!(!on("management: {tls: {certificate: {chain: c, key: k}}}"));
    assert!(on("management: {token_file: t}"));
    assert!(on("management: {tls: {MTLS}}"));
}

const TAKEN: &[&str] = &[
    "adapter: {callers: [{name: a, token_file: t, scopes: [raw]}]}",
    "adapter: {bind: 9100, callers: [{name: a, token_file: t}]}",
    "adapter: {bind: 9100, insecure: true}",
    "adapter: {tls: {MTLS, crl_file: c}, callers: [{name: a, certificate: n, token_file: t}]}",
    "adapter: {tls: {certificate: {chain: c, key: k}}}",
    "management: {bind: 9104, token_file: t, tls: {certificate: {chain: c, key: k}}}",
    "management: {bind: 9104, tls: {MTLS}}",
    // It is off.
    "management: {bind: 9104}",
    "management: {bind: 127.0.0.1:9100}",
];

const REFUSED: &[(&str, &str)] = &[
    (
        "adapter: {bind: 9100, tls: {certificate: {chain: c, key: k}}}",
        "adapter.bind: [::]:9100 lets other machines in, and callers are not authenticated; write \
         adapter.callers, or let only the handler reach the port and write adapter.insecure: true, \
         or bind a loopback address",
    ),
    (
        "adapter: {callers: [{name: a}]}",
        "adapter.callers[0]: nothing tells who \"a\" is; write token_file, or certificate",
    ),
    (
        "adapter: {callers: [{name: a b, token_file: t}]}",
        "adapter.callers[0].name: \"a b\" cannot name a caller; write 1 to 63 ASCII characters, no \
         blanks",
    ),
    (
        "adapter: {callers: [{name: a, token_file: t}, {name: a, token_file: u}]}",
        "adapter.callers[1].name: adapter.callers[0] is called \"a\" too; give each a name of its \
         own",
    ),
    (
        "adapter: {callers: [{name: a, token_file: t}, {name: b, token_file: t}]}",
        "adapter.callers[1].token_file: adapter.callers[0] has t too; give each tokens of its own",
    ),
    (
        "adapter: {tls: {MTLS}, callers: [{name: a, certificate: n}, {name: b, certificate: n}]}",
        "adapter.callers[1].certificate: adapter.callers[0] has \"n\" too; write it at one of them",
    ),
    (
        "adapter: {callers: [{name: a, certificate: n}]}",
        "adapter.callers[0].certificate: no caller is asked for a certificate; write \
         adapter.tls.verify: required or optional, or token_file instead",
    ),
    (
        "adapter: {tls: {MTLS}, callers: [{name: a, certificate: \"\"}]}",
        "adapter.callers[0].certificate: it names nobody; write the common name, a DNS name or a \
         URI of the certificate",
    ),
    (
        "adapter: {callers: [{name: a, token_file: t, scopes: []}]}",
        "adapter.callers[0].scopes: the list is empty; write what the caller may call, or remove \
         the caller",
    ),
    (
        "adapter: {callers: [{name: a, token_file: t, scopes: [rwa]}]}",
        "adapter.callers[0].scopes[0]: \"rwa\" is not supported; write one of send, session, \
         publish, raw, backend_publish, backend_subscribe",
    ),
    (
        "adapter: {tls: {verify: required, ca_file: a}}",
        "adapter.tls.verify: there is no TLS to ask for certificates in; write \
         adapter.tls.certificate, or none",
    ),
    (
        "adapter: {tls: {certificate: {chain: c, key: k}, verify: optional}}",
        "adapter.tls.verify: it needs to be known who signs callers' certificates; write \
         adapter.tls.ca_file, or none",
    ),
    (
        "adapter: {tls: {certificate: {chain: c, key: k}, ca_file: a}}",
        "adapter.tls.ca_file: no caller is asked for a certificate; write adapter.tls.verify: \
         required or optional, or remove it",
    ),
    (
        "management: {tls: {certificate: {chain: c, key: k}, crl_file: a}}",
        "management.tls.crl_file: no caller is asked for a certificate; write \
         management.tls.verify: required, or remove it",
    ),
    (
        "management: {token_file: t, tls: {certificate: {chain: c, key: k}, verify: optional, ca_file: a}}",
        "management.tls.verify: a certificate tells nothing there unless everybody shows one; \
         write required, or none",
    ),
    (
        "management: {bind: 9104, token_file: t}",
        "management.bind: [::]:9104 lets other machines in, and tokens would be readable on the \
         network; write management.tls.certificate, or bind a loopback address",
    ),
    (
        "management: {bind: 127.0.0.1:9100, token_file: t}",
        "management.bind: 127.0.0.1:9100 clashes with 127.0.0.1:9100 of adapter.bind; choose \
         another port",
    ),
];
