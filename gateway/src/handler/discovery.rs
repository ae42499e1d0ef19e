//! Where endpoints are found: in the configuration, by a name, or in a file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use config::{HandlerAddress, HandlerList, HandlerSource, HostName};

use self::dns::Follower;
use super::Error;

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

/// Where endpoints are found from now on.
pub(super) struct Source {
    /// Those that are known without asking anybody; those behind a name come later.
    pub(super) known: Option<Vec<Target>>,
    /// Who asks for a name.
    pub(super) follower: Option<Follower>,
    /// A file with their addresses, and the setting that names it.
    pub(super) file: Option<(&'static str, PathBuf)>,
}

impl Source {
    /// There are none.
    pub(super) fn none() -> Self {
        Self::known(Vec::new())
    }

    /// As it is written for one of the sets. Blocks while a file is read.
    pub(super) fn read(whose: Whose, written: HandlerSource<'_>, most: u32) -> Result<Self, Error> {
        match written {
            HandlerSource::Addresses(addresses) => Ok(Self::known(addresses.to_vec())),
            HandlerSource::Dns(name, dns) => {
                let follower = Follower::new(name, dns).map_err(|source| Error::Dns {
                    field: whose.dns(),
                    source: source.into(),
                })?;
                Ok(Self {
                    known: None,
                    follower: Some(follower),
                    file: None,
                })
            }
            HandlerSource::File(path) => Ok(Self {
                file: Some((whose.file(), path.clone())),
                ..Self::known(listed(whose.file(), path, most)?)
            }),
        }
    }

    fn known(addresses: Vec<HandlerAddress>) -> Self {
        Self {
            known: Some(addresses.into_iter().map(Target::from).collect()),
            follower: None,
            file: None,
        }
    }

    /// Whether TLS is needed to speak to them.
    pub(super) fn is_secure(&self) -> bool {
        self.known.iter().flatten().any(Target::is_secure)
            || self.follower.as_ref().is_some_and(Follower::is_secure)
    }
}

/// The addresses in a file, which the setting `field` names.
pub(super) fn listed(
    field: &'static str,
    path: &Path,
    most: u32,
) -> Result<Vec<HandlerAddress>, Error> {
    match HandlerList::load(path, most) {
        Ok(HandlerList(addresses)) => Ok(addresses),
        Err(source) => Err(Error::List { field, source }),
    }
}

/// A set of endpoints, as the configuration has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The handler's own.
    Handler,
    /// The canary's.
    Canary,
    /// The mirror's.
    Mirror,
}

impl Whose {
    /// As logs have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Canary => "canary",
            Self::Mirror => "mirror",
        }
    }

    fn dns(self) -> &'static str {
        match self {
            Self::Handler => "handler.dns",
            Self::Canary => "handler.canary.dns",
            Self::Mirror => "handler.mirror.dns",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Handler => "handler.file",
            Self::Canary => "handler.canary.file",
            Self::Mirror => "handler.mirror.file",
        }
    }
}
