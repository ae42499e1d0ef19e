//! Who may be a client: each authenticator by itself, and where a chain stands.

use crate::{
    Authenticator, Config, HttpClient, HttpUrl, Jwt, Listener, RedisServer, Transport, Verify,
};

use super::Report;

pub(super) fn check(config: &Config, report: &mut Report) {
    chain("authentication.chain", &config.authentication.chain, report);
    for (index, listener) in config.listeners.iter().enumerate() {
        if let Some(own) = &listener.authentication_chain {
            let field = format!("listeners[{index}].authentication_chain");
            chain(&field, own, report);
            certificates(&field, own, listener, report);
        }
    }
}

fn chain(field: &str, chain: &[Authenticator], report: &mut Report) {
    for (index, authenticator) in chain.iter().enumerate() {
        let field = format!("{field}[{index}].{}", authenticator.as_str());
        match authenticator {
            Authenticator::Anonymous(_) if index + 1 < chain.len() => {
                let text = "it allows everybody, so those after it are never asked; make it the last, or remove it";
                report.add(&field, text);
            }
            Authenticator::Jwt(jwt) => tokens(&field, jwt, report),
            Authenticator::Http(http) => {
                client(&format!("{field}.client"), &http.url, &http.client, report);
            }
            Authenticator::Redis(redis) => {
                server(&format!("{field}.server"), &redis.server, report);
            }
            _ => {}
        }
    }
}

/// A certificate that nobody is asked for.
fn certificates(field: &str, chain: &[Authenticator], listener: &Listener, report: &mut Report) {
    let asked = listener.transport.is_secure() && listener.tls.verify != Verify::None;
    let index = chain
        .iter()
        .position(|each| matches!(each, Authenticator::Certificate(_)));
    if let Some(index) = index.filter(|_| !asked) {
        let instead = match listener.transport {
            Transport::Tls | Transport::Wss | Transport::Dtls => "write tls.verify: required",
            _ => "write a transport with certificates",
        };
        let text =
            format!("no device of this listener shows a certificate; {instead}, or remove it");
        report.add(&format!("{field}[{index}].certificate"), text);
    }
}

fn tokens(field: &str, jwt: &Jwt, report: &mut Report) {
    let keys = [
        ("secret_file", jwt.secret_file.is_some()),
        ("public_key_file", jwt.public_key_file.is_some()),
        ("jwks_file", jwt.jwks_file.is_some()),
        ("jwks_url", jwt.jwks_url.is_some()),
    ];
    let written: Vec<_> = keys.iter().filter(|(_, written)| *written).collect();
    match written[..] {
        [] => {
            let text = "there is no key; write one of secret_file, public_key_file, jwks_file and jwks_url";
            report.add(field, text);
        }
        [_] => {}
        [(first, _), (second, _), ..] => {
            let text = format!(
                "there is {first} already; write one of them, and the other in an authenticator of its own"
            );
            report.add(&format!("{field}.{second}"), text);
        }
    }
    let symmetric = jwt.secret_file.is_some();
    let unfit = jwt
        .algorithms
        .iter()
        .position(|each| each.is_symmetric() != symmetric);
    if let Some(index) = unfit.filter(|_| !written.is_empty()) {
        let text = if symmetric {
            "a secret signs with HS256, HS384 and HS512 only; write one of these, or public_key_file"
        } else {
            "public keys do not sign with a shared secret; write one of RS, PS, ES and EdDSA, or secret_file"
        };
        report.add(&format!("{field}.algorithms[{index}]"), text);
    }
    if let Some(url) = &jwt.jwks_url {
        client(&format!("{field}.client"), url, &jwt.client, report);
    } else if jwt.client != HttpClient::default() {
        let text = "nothing is read over HTTP here; write jwks_url, or remove it";
        report.add(&format!("{field}.client"), text);
    }
}

pub(super) fn client(field: &str, url: &HttpUrl, client: &HttpClient, report: &mut Report) {
    if !url.is_secure() {
        for (name, written) in [
            ("ca_file", client.ca_file.is_some()),
            ("certificate", client.certificate.is_some()),
        ] {
            if written {
                let text = "the address starts with http://, which shows no certificate; write https://, or remove it";
                report.add(&format!("{field}.{name}"), text);
            }
        }
    }
    for (name, value) in &client.headers {
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let is_printable = |text: &str| text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        if !is_token(name) || !is_printable(value) {
            let text = "it is no header; write letters, digits and - as its name, and printable ASCII as its value";
            report.add(&format!("{field}.headers.{name}"), text);
        } else if name.eq_ignore_ascii_case("authorization") {
            let text = "it is a secret, and this file is read and shown; write token_file instead";
            report.add(&format!("{field}.headers.{name}"), text);
        }
    }
}

pub(super) fn server(field: &str, redis: &RedisServer, report: &mut Report) {
    login(
        field,
        redis.url.is_secure(),
        (redis.ca_file.is_some(), redis.certificate.is_some()),
        (redis.username.is_some(), redis.password_file.is_some()),
        report,
    );
}

/// How a Redis server is logged in to: over TLS or not; which of `ca_file` and `certificate` are written; which of
/// `username` and `password_file`.
pub(super) fn login(
    field: &str,
    is_secure: bool,
    (ca_file, certificate): (bool, bool),
    (username, password_file): (bool, bool),
    report: &mut Report,
) {
    if !is_secure {
        for (name, written) in [("ca_file", ca_file), ("certificate", certificate)] {
            if written {
                let text = "the address starts with redis://, which shows no certificate; write rediss://, or remove it";
                report.add(&format!("{field}.{name}"), text);
            }
        }
    }
    if username && !password_file {
        let text = "a user of Redis has a password; write password_file, or remove it";
        report.add(&format!("{field}.username"), text);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Error};

    fn problems(text: &str) -> String {
        match Config::parse(text, "x") {
            Ok(_) => String::new(),
            Err(Error::Invalid { problems }) => problems
                .into_iter()
                .map(|problem| format!("{}: {}", problem.field, problem.text))
                .collect::<Vec<_>>()
                .join("\n"),
            Err(error) => error.to_string(),
        }
    }

    fn chain(text: &str) -> String {
        problems(&format!("authentication: {{chain: [{text}]}}"))
    }

    #[test]
    fn good_chains_are_taken() {
        for text in [
            "",
            "anonymous: {}",
            "anonymous:",
            "{file: {path: /a}}, {anonymous: {}}",
            "{file: {path: /a, name: clientid}}",
            "{jwt: {secret_file: /a, algorithms: [HS256]}}",
            "{jwt: {jwks_url: \"https://a/b\", client: {timeout: 1s}, claims: {sub: \"${clientid}\"}}}",
            "{http: {url: \"http://a/b\", cache: {ttl: 1m}, client: {headers: {x-a: b}}}}",
            "{certificate: {}}",
            "{redis: {server: {url: \"redis://a\"}, key: \"u:${clientid}\"}}",
        ] {
            assert_eq!(chain(text), "", "{text}");
        }
    }

    #[test]
    fn bad_chains_are_refused_by_the_field() {
        for (text, expected) in [
            (
                "{anonymous: {}}, {file: {path: /a}}",
                "authentication.chain[0].anonymous: it allows everybody",
            ),
            (
                "{}",
                "authentication.chain[0]: this has 0 keys; write exactly one of anonymous, file,",
            ),
            (
                "{file: {path: /a}, jwt: {}}",
                "authentication.chain[0]: this has 2 keys",
            ),
            (
                "{fiel: {path: /a}}",
                "authentication.chain[0].fiel: there is no such key; did you mean file?",
            ),
            ("file", "authentication.chain[0]: "),
            (
                "{file: {}}",
                "authentication.chain[0].file: path is missing; write path: and its value",
            ),
            (
                "{jwt: {}}",
                "authentication.chain[0].jwt: there is no key; write one of",
            ),
            (
                "{jwt: {secret_file: /a, jwks_file: /b}}",
                "authentication.chain[0].jwt.jwks_file: there is secret_file already",
            ),
            (
                "{jwt: {secret_file: /a, algorithms: [HS256, RS256]}}",
                "authentication.chain[0].jwt.algorithms[1]: a secret",
            ),
            (
                "{jwt: {public_key_file: /a, algorithms: [HS256]}}",
                "authentication.chain[0].jwt.algorithms[0]: public keys",
            ),
            (
                "{jwt: {public_key_file: /a, algorithms: [none]}}",
                "authentication.chain[0].jwt.algorithms[0]: \"none\" is not supported",
            ),
            (
                "{jwt: {secret_file: /a, claims: {sub: \"${client_id}\"}}}",
                "authentication.chain[0].jwt.claims.sub: \"${client_id}\" is nothing a claim can be: ${client_id} is",
            ),
            (
                "{jwt: {secret_file: /a, attributes: {a.b: c}}}",
                "authentication.chain[0].jwt.attributes: \"a.b\" cannot name an attribute",
            ),
            (
                "{jwt: {secret_file: /a, client: {timeout: 1s}}}",
                "authentication.chain[0].jwt.client: nothing is read",
            ),
            (
                "{http: {url: \"http://a\", client: {ca_file: /a}}}",
                "authentication.chain[0].http.client.ca_file: the address",
            ),
            (
                "{http: {url: \"http://u:p@a\"}}",
                "authentication.chain[0].http.url: it holds a name or password",
            ),
            (
                "{http: {url: \"http://a\", client: {headers: {Authorization: x}}}}",
                "authentication.chain[0].http.client.headers.Authorization: it is a secret",
            ),
            (
                "{redis: {server: {url: \"redis://a\"}, key: users}}",
                "authentication.chain[0].redis.key: \"users\" is one key",
            ),
            (
                "{redis: {server: {url: \"redis://a\", username: u}}}",
                "authentication.chain[0].redis.server.username: a user",
            ),
        ] {
            let found = chain(text);
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }

    #[test]
    fn a_chain_that_wants_certificates_stands_where_some_are_shown() {
        let found = problems("listeners: [{authentication_chain: [{certificate: {}}]}]");
        assert!(
            found.starts_with("listeners[0].authentication_chain[0].certificate: no device"),
            "{found}"
        );
        let tls = "{transport: tls, tls: {certificates: [{chain: /a, key: /b}], verify: optional, ca_file: /c}, \
                   authentication_chain: [{certificate: {}}]}";
        assert_eq!(problems(&format!("listeners: [{tls}]")), "");
    }
}
