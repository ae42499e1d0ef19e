//! What the gateway is told: the settings of the resource, and what the operator adds. All of it is read by
//! `exproto-config`, which knows what is wrong with it.

use config::{Config, Error};
use serde_json::{Map, Value, json};

use super::{Problem, References};
use crate::{
    crd::{Adapter, AdapterAuth, ClientAuthMode, Handler, Port, Redis, Spec, camel},
    names::{HTTP_PORT, KEY_PATH, Names, PEERS_PORT, SECRETS_PATH},
};

type Fields = Map<String, Value>;

/// The gateway's configuration of a resource.
pub(super) fn config(
    spec: &Spec,
    names: &Names,
    references: &References,
) -> Result<Config, Vec<Problem>> {
    let mut all = spec.settings.to_config();
    let listeners = spec.ports.iter().map(|port| listener(port).into());
    all.insert("listeners".into(), Value::Array(listeners.collect()));
    all.insert(
        "handler".into(),
        handler(&spec.handler, names, references).into(),
    );
    all.insert("adapter".into(), adapter(&spec.adapter).into());
    all.insert("http".into(), json!({ "bind": bind(HTTP_PORT) }));
    let own = [
        ("name", names.cluster()),
        ("key_file", format!("{KEY_PATH}/key")),
    ];
    for (field, value) in own {
        set(&mut all, &["cluster"], field, value);
    }
    if let Some(redis) = &spec.redis {
        set(&mut all, &["cluster", "peers"], "bind", bind(PEERS_PORT));
        set(&mut all, &["broker"], "kind", "redis".to_owned());
        all.insert("redis".into(), self::redis(redis).into());
    }
    let text = serde_json::to_string(&all).expect("fields can be written");
    Config::parse(&text, "spec").map_err(|error| problems(&error))
}

/// Sets a field of a field, unless something else is written there that has no fields: that is told when it is read.
fn set(all: &mut Fields, path: &[&str], field: &str, value: String) {
    let within = path.iter().try_fold(all, |fields, name| {
        let inner = fields.entry(*name).or_insert_with(|| json!({}));
        inner.as_object_mut()
    });
    if let Some(fields) = within {
        fields.insert(field.to_owned(), value.into());
    }
}

fn bind(port: u16) -> String {
    format!("[::]:{port}")
}

fn secret(name: &str, key: &str) -> String {
    format!("{SECRETS_PATH}/{name}/{key}")
}

fn certificate(name: &str) -> Value {
    json!({ "chain": secret(name, "tls.crt"), "key": secret(name, "tls.key") })
}

fn listener(port: &Port) -> Fields {
    let mut all = port.settings.to_config();
    all.insert("name".into(), port.name.clone().into());
    all.insert("bind".into(), bind(port.port).into());
    all.insert(
        "transport".into(),
        port.transport.in_config().as_str().into(),
    );
    if let Some(tls) = &port.tls {
        let mut fields = tls.settings.to_config();
        let names = [&tls.secret_name].into_iter().chain(&tls.more_secret_names);
        let certificates = names.map(|name| certificate(name));
        fields.insert("certificates".into(), certificates.collect());
        if let Some(auth) = &tls.client_auth {
            let verify = match auth.mode {
                ClientAuthMode::Optional => "optional",
                ClientAuthMode::Required => "required",
            };
            fields.insert("verify".into(), verify.into());
            fields.insert(
                "ca_file".into(),
                secret(&auth.ca_secret_name, "ca.crt").into(),
            );
            if auth.revocation_lists {
                fields.insert(
                    "crl_file".into(),
                    secret(&auth.ca_secret_name, "ca.crl").into(),
                );
            }
        }
        all.insert("tls".into(), fields.into());
    }
    if let Some(psk) = &port.psk {
        let mut fields = Fields::new();
        fields.insert("file".into(), secret(&psk.secret_name, &psk.key).into());
        if let Some(hint) = &psk.identity_hint {
            fields.insert("identity_hint".into(), hint.clone().into());
        }
        all.insert("psk".into(), fields.into());
    }
    all
}

fn handler(handler: &Handler, names: &Names, references: &References) -> Fields {
    let mut all = handler.settings.to_config();
    let is_secure = handler.tls.is_some();
    let mut dns = None;
    if let Some(addresses) = &handler.addresses {
        all.insert("addresses".into(), addresses.clone().into());
    } else if let Some(template) = &handler.template {
        dns = Some((service(&names.handler(), &names.namespace), template.port));
    } else if let Some(target) = &references.handler {
        dns = Some((target.name.clone(), target.port));
    }
    if let Some((name, port)) = dns {
        let dns = json!({ "name": name, "port": port, "secure": is_secure });
        all.insert("dns".into(), dns);
    }
    if let Some(tls) = &handler.tls {
        let mut fields = Fields::new();
        if let Some(name) = &tls.ca_secret_name {
            fields.insert("ca_file".into(), secret(name, "ca.crt").into());
        }
        if let Some(name) = &tls.client_secret_name {
            fields.insert("certificate".into(), certificate(name));
        }
        if let Some(name) = &tls.server_name {
            fields.insert("server_name".into(), name.clone().into());
        } else if let Some(target) = &handler.service_ref {
            let namespace = target.namespace.as_deref().unwrap_or(&names.namespace);
            fields.insert(
                "server_name".into(),
                service(&target.name, namespace).into(),
            );
        }
        all.insert("tls".into(), fields.into());
    }
    all
}

/// The name of a Service, for whoever has the search list of a pod.
fn service(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}.svc")
}

fn adapter(adapter: &Adapter) -> Fields {
    let mut all = adapter.settings.to_config();
    all.insert("bind".into(), bind(adapter.port).into());
    if adapter.auth == AdapterAuth::None {
        all.insert("insecure".into(), true.into());
    }
    let callers = adapter.callers.iter().map(|caller| {
        let mut fields = Fields::new();
        fields.insert("name".into(), caller.name.clone().into());
        if let Some(token) = &caller.token_secret {
            fields.insert("token_file".into(), secret(&token.name, &token.key).into());
        }
        if let Some(name) = &caller.certificate {
            fields.insert("certificate".into(), name.clone().into());
        }
        if let Some(scopes) = &caller.scopes {
            fields.insert("scopes".into(), json!(scopes));
        }
        if caller.mirror {
            fields.insert("mirror".into(), true.into());
        }
        Value::Object(fields)
    });
    let callers: Vec<_> = callers.collect();
    if !callers.is_empty() {
        all.insert("callers".into(), callers.into());
    }
    if let Some(tls) = &adapter.tls {
        let mut fields = Fields::new();
        fields.insert("certificate".into(), certificate(&tls.secret_name));
        if let Some(name) = &tls.client_ca_secret_name {
            let verify = match adapter.auth {
                AdapterAuth::Mtls => "required",
                AdapterAuth::None | AdapterAuth::Token => "optional",
            };
            fields.insert("verify".into(), verify.into());
            fields.insert("ca_file".into(), secret(name, "ca.crt").into());
        }
        all.insert("tls".into(), fields.into());
    }
    all
}

fn redis(redis: &Redis) -> Fields {
    let mut all = redis.settings.to_config();
    all.insert("urls".into(), redis.urls.clone().into());
    if let Some(password) = &redis.password_secret {
        let file = secret(&password.name, &password.key);
        all.insert("password_file".into(), file.into());
    }
    if let Some(name) = &redis.ca_secret_name {
        all.insert("ca_file".into(), secret(name, "ca.crt").into());
    }
    if let Some(name) = &redis.client_secret_name {
        all.insert("certificate".into(), certificate(name));
    }
    all
}

/// What is wrong, at the places of the resource.
fn problems(error: &Error) -> Vec<Problem> {
    let Error::Invalid { problems } = error else {
        unreachable!("no file is read");
    };
    let problems = problems.iter().map(|problem| Problem {
        field: field(&problem.field),
        text: text(&problem.text),
    });
    problems.collect()
}

/// The field of the resource that a field of the configuration was made of.
fn field(of_config: &str) -> String {
    if of_config.is_empty() {
        return "spec".to_owned();
    }
    let field = of_config.replacen("listeners[", "ports[", 1);
    let field = match field.strip_suffix(".bind") {
        Some(of_port) => format!("{of_port}.port"),
        None => field,
    };
    format!("spec.{}", camel(&field))
}

/// What is said of it, with the names of the resource. What stands in quotes is what was written.
fn text(of_config: &str) -> String {
    let pieces = of_config.split('"').enumerate();
    let pieces = pieces.map(|(number, piece)| {
        if number % 2 == 0 {
            camel(piece)
        } else {
            piece.to_owned()
        }
    });
    pieces
        .collect::<Vec<_>>()
        .join("\"")
        .replace("listeners[", "ports[")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_resource() {
        assert_eq!(
            field("listeners[0].limits.max_connections"),
            "spec.ports[0].limits.maxConnections"
        );
        assert_eq!(field("adapter.bind"), "spec.adapter.port");
        assert_eq!(field(""), "spec");
    }

    #[test]
    fn what_a_user_wrote_stays_as_it_is() {
        let told = text("\"a_b\" is no time; backoff_max is one");
        assert_eq!(told, "\"a_b\" is no time; backoffMax is one");
    }
}
