use crate::{Bind, Config, HandlerAddress};

fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse_with(text, "gateway.yaml", env).map_err(|error| error.to_string())
}

fn bind(text: &str) -> Bind {
    text.parse().unwrap()
}

#[test]
fn variables_win_over_the_file() {
    let text = "adapter: {bind: 127.0.0.1:1}\nlisteners: [{name: a, bind: 1.1.1.1:1, tcp: {backlog: 7}}]\n";
    let config = with_env(
        text,
        &[
            ("EXPROTO_ADAPTER__BIND", "[::1]:2"),
            ("EXPROTO_DRAIN__RATE", "9"),
            ("EXPROTO_MOUNTPOINT", "${clientid}/"),
            ("EXPROTO_LISTENERS__0__BIND", "2.2.2.2:2"),
            ("EXPROTO_LISTENERS__1__NAME", "b"),
            ("EXPROTO_HANDLER__ADDRESSES", "[h:1, 'h:2']"),
            ("EXPROTO_HANDLER__ADDRESSES__1", "h:3"),
            ("EXPROTO_LOG__LEVEL", "info,exproto_gateway=debug"),
        ],
    )
    .unwrap();
    assert_eq!(config.adapter.bind, bind("[::1]:2"));
    assert_eq!(config.drain.rate, 9);
    assert_eq!(config.mountpoint.to_string(), "${clientid}/");
    assert_eq!(config.listeners[0].bind, bind("2.2.2.2:2"));
    assert_eq!(config.listeners[0].tcp.backlog, 7);
    assert_eq!(config.listeners[1].name.as_str(), "b");
    let addresses: Vec<String> = config
        .handler
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(addresses, ["http://h:1", "http://h:3"]);
    assert_eq!(config.log.level.as_str(), "info,exproto_gateway=debug");
}

#[test]
fn entries_are_counted_as_numbers_whatever_the_order_of_variables() {
    let variables: Vec<(String, String)> = (0..12)
        .rev()
        .map(|index| {
            (
                format!("EXPROTO_HANDLER__ADDRESSES__{index}"),
                format!("h:{}", index + 1),
            )
        })
        .collect();
    let config = Config::parse_with("", "gateway.yaml", variables).unwrap();
    let ports: Vec<u16> = config
        .handler
        .addresses
        .iter()
        .map(HandlerAddress::port)
        .collect();
    assert_eq!(ports, (1..=12).collect::<Vec<u16>>());
}

#[test]
fn an_empty_variable_is_an_empty_text() {
    let config = with_env("mountpoint: a/", &[("EXPROTO_MOUNTPOINT", "")]).unwrap();
    assert!(config.mountpoint.is_empty());
}

#[test]
fn variables_that_kubernetes_makes_of_services_are_none_of_ours() {
    let env = [
        ("EXPROTO_SERVICE_HOST", "10.0.0.1"),
        ("EXPROTO_SERVICE_PORT", "7993"),
        ("EXPROTO_PORT", "tcp://10.0.0.1:7993"),
        ("EXPROTO_PORT_7993_TCP_ADDR", "10.0.0.1"),
        ("EXPROTO_GATEWAY_PORT_7993_TCP", "tcp://10.0.0.1:7993"),
        ("EXPROTO_HTTP_SERVICE_PORT_HTTP", "9102"),
        ("EXPROTO_ADAPTER_PORT", "tcp://10.0.0.1:9100"),
        ("EXPROTO_CONFIG", "/etc/exproto/gateway.yaml"),
        ("exproto_adapter__bind", "nothing"),
        ("OTHER__KEY", "1"),
    ];
    assert_eq!(with_env("", &env), Ok(Config::default()));
}

#[test]
fn an_error_of_the_environment_names_the_variable() {
    let cases = [
        (
            ("EXPROTO_ADAPTER__BIND", "fo:o"),
            "adapter.bind: \"fo:o\" is not an address; write host:port, for example 0.0.0.0:7993",
        ),
        (
            ("EXPROTO_ADAPTER__BIND", "1.2.3.4:5"),
            "adapter.bind: 1.2.3.4:5 lets other machines in, and callers are not authenticated; \
             write adapter.callers, or let only the handler reach the port and write \
             adapter.insecure: true, or bind a loopback address",
        ),
        (
            ("EXPROTO_ADAPTER__BNID", "1"),
            "adapter.bnid: there is no such key; did you mean bind?",
        ),
        (
            ("EXPROTO_DRAIN__RATE", ""),
            "drain.rate: \"\" is not a whole number; write digits only",
        ),
        (
            ("EXPROTO_LOG", "debug"),
            "log: \"debug\" does not fit; write a mapping of the keys level, format",
        ),
        (
            ("EXPROTO_HANDLER__ADDRESSES__1", "h:1"),
            "handler.addresses[1]: the list has 0 entries in the file; number the next 0",
        ),
        (
            ("EXPROTO_HANDLER__ADDRESSES", "[h:1, {]"),
            "handler.addresses: this is not YAML: mismatched bracket '{' closed by ']'; check the \
             indentation, and put values such as \"[::]:7993\" in quotes",
        ),
        (
            ("EXPROTO_ADAPTER_MAX_REQUEST", "1MiB"),
            "adapter.max_request: levels stand apart by two underscores; write \
             EXPROTO_ADAPTER__MAX_REQUEST",
        ),
        (
            ("EXPROTO_LISTENERS_0_BIND", "1"),
            "listeners[0].bind: levels stand apart by two underscores; write \
             EXPROTO_LISTENERS__0__BIND",
        ),
        (
            ("EXPROTO_NO__SUCH", "1"),
            "no: there is no such key; the keys here are pod, cluster, listeners, limits, \
             bans, mountpoint, authentication, authorization, connection, handler, adapter, backend, \
             broker, redis, sessions, http, management, drain, log",
        ),
    ];
    for (variable, expected) in cases {
        let error = with_env("", &[variable]).unwrap_err();
        assert_eq!(
            error,
            format!("environment variable {}: {expected}", variable.0)
        );
    }
    let error = with_env(
        "listeners: [{name: a}]",
        &[("EXPROTO_LISTENERS__A__BIND", "1")],
    );
    assert_eq!(
        error.unwrap_err(),
        "environment variable EXPROTO_LISTENERS__A__BIND: listeners.a: listeners is a list; put the \
         number of an entry before this name"
    );
}
