//! From what a resource says to what the gateway is told, or to all that is wrong with it. Nothing is asked for here.

/// The gateway's configuration of a resource.
mod gateway;

use std::{collections::BTreeMap, fmt, net::IpAddr};

use config::{Config, HandlerSource};
use kube::{ResourceExt as _, core::cel::Validator};

use crate::{
    crd::{AdapterAuth, ExProtoListener, Spec, schema},
    names::Names,
};

/// What others say that a resource refers to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    /// Where the pods of `handler.serviceRef` are.
    pub handler: Option<HandlerTarget>,
}

/// Where pods of a handler are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerTarget {
    /// A name that stands for all of them.
    pub name: String,
    /// Their port.
    pub port: u16,
    /// Their labels, where a Service is to be made by which the gateway finds them; none where there is one.
    pub selector: Option<BTreeMap<String, String>>,
    /// Their labels, so that nobody else may call the adapter; none where nobody knows.
    pub pods: Option<BTreeMap<String, String>>,
    /// Their namespace, where it is another one.
    pub namespace: Option<String>,
}

/// A resource that can be built.
#[derive(Clone, Debug)]
pub struct Validated {
    /// What its objects are called.
    pub names: Names,
    /// Tells it from others that were called the same.
    pub uid: String,
    /// What it says.
    pub spec: Spec,
    /// What the gateway is told.
    pub config: Config,
    /// Where the pods of `handler.serviceRef` are.
    pub handler: Option<HandlerTarget>,
}

/// One thing to mend in a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands, such as `spec.ports[0].limits`.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        if self.field.is_empty() {
            return to.write_str(&self.text);
        }
        write!(to, "{}: {}", self.field, self.text)
    }
}

/// Whether a resource can be built, given what it refers to.
///
/// # Errors
/// All that is wrong with it.
pub fn validate(
    resource: &ExProtoListener,
    references: &References,
) -> Result<Validated, Vec<Problem>> {
    let problems = rules(resource);
    if !problems.is_empty() {
        return Err(problems);
    }
    let namespace = resource.namespace().unwrap_or_else(|| "default".to_owned());
    let names = Names::new(&namespace, &resource.name_any());
    let spec = &resource.spec;
    let config = gateway::config(spec, &names, references)?;
    let problems = unknown_callers(spec, &config);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Validated {
        names,
        uid: resource.uid().unwrap_or_default(),
        spec: spec.clone(),
        config,
        handler: references.handler.clone(),
    })
}

/// Where callers need not prove who they are, it has to be known where they are.
fn unknown_callers(spec: &Spec, config: &Config) -> Vec<Problem> {
    let HandlerSource::Addresses(addresses) = config.handler.source() else {
        return Vec::new();
    };
    if spec.adapter.auth != AdapterAuth::None {
        return Vec::new();
    }
    let named = addresses.iter().enumerate();
    let named = named.filter(|(_, each)| each.host().parse::<IpAddr>().is_err());
    let problems = named.map(|(number, each)| Problem {
        field: format!("spec.handler.addresses[{number}]"),
        text: format!(
            "with adapter.auth None only the handler may reach the adapter, and nobody knows the addresses of {}; write IP addresses, or choose auth Token or MTLS",
            each.host()
        ),
    });
    problems.collect()
}

/// The rules of the definition. An API server holds resources to them as well; whoever asks before needs none.
fn rules(resource: &ExProtoListener) -> Vec<Problem> {
    let object = serde_json::to_value(resource).expect("a resource can be written");
    let Err(broken) = Validator::new().validate(schema(), &object, None) else {
        return Vec::new();
    };
    let problems = broken.into_vec().into_iter().map(|broken| Problem {
        field: broken.field_path,
        text: broken.message,
    });
    problems.collect()
}

#[cfg(test)]
mod tests;
