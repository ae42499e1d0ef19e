//! Where endpoints are found: in the configuration, by a name, or in a file.

use std::sync::Arc;

use config::{HandlerAddress, HandlerList, HandlerSource, HostName};

/// A name that stands for all addresses.
pub(super) mod dns;

/// An endpoint that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: HandlerAddress,
    /// The name that it was found by.
    name: Option<Arc<HostName>>,
}

impl Target {
    /// The address as URLs and logs have it.
    pub(super) fn shown(&self) -> String {
        self.address.to_string()
    }

    /// What calls are addressed to: the name that it was found by, as whoever routes them may go by it.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.is_secure() { "https" } else { "http" };
        match &self.name {
            Some(name) => format!(
                "{scheme}://{}:{}",
                name.of_certificate(),
                self.address.port()
            ),
            None => self.shown(),
        }
    }

    pub(super) fn is_secure(&self) -> bool {
        self.address.is_secure()
    }

    /// The name that its certificate is for.
    pub(super) fn certified_name(&self) -> &str {
        match &self.name {
            Some(name) => name.of_certificate(),
            None => self.address.host().trim_end_matches('.'),
        }
    }
}

impl From<HandlerAddress> for Target {
    fn from(address: HandlerAddress) -> Self {
        Self {
            address,
            name: None,
        }
    }
}

/// The endpoints that are known without asking anybody; those behind a name come later. Blocks while a file is read.
pub(super) fn known(config: &config::Handler) -> Result<Vec<Target>, config::Error> {
    let addresses = match config.source() {
        HandlerSource::Addresses(addresses) => addresses.to_vec(),
        HandlerSource::Dns(..) => Vec::new(),
        HandlerSource::File(path) => HandlerList::load(path, config.max_endpoints)?.0,
    };
    Ok(addresses.into_iter().map(Target::from).collect())
}
