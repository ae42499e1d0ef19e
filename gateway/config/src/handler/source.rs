//! Where a set of replicas is found: one of three ways.

use std::path::PathBuf;

use super::{Handler, HandlerAddress, HandlerDns, HostName};

/// Where the replicas of the handler are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HandlerSource<'a> {
    /// They are written in the configuration.
    Addresses(&'a [HandlerAddress]),
    /// A name stands for them.
    Dns(&'a HostName, &'a HandlerDns),
    /// They stand in a file.
    File(&'a PathBuf),
}

impl<'a> HandlerSource<'a> {
    /// What is written of these three, of which one is.
    pub(super) fn of(
        addresses: &'a [HandlerAddress],
        dns: &'a HandlerDns,
        file: Option<&'a PathBuf>,
    ) -> Self {
        match (&dns.name, file) {
            (Some(name), _) => Self::Dns(name, dns),
            (None, Some(file)) => Self::File(file),
            (None, None) => Self::Addresses(addresses),
        }
    }

    /// The same, of a set that need not be there: `None` where nothing is written.
    pub(super) fn of_another(
        addresses: &'a [HandlerAddress],
        dns: &'a HandlerDns,
        file: Option<&'a PathBuf>,
    ) -> Option<Self> {
        let source = Self::of(addresses, dns, file);
        let is_off = matches!(source, Self::Addresses([]));
        (!is_off).then_some(source)
    }

    /// What both have, as far as that can be seen without asking anybody: addresses, a name with its port, a file.
    #[must_use]
    pub fn shares(self, other: HandlerSource<'_>) -> Vec<Shared> {
        match (self, other) {
            (Self::Addresses(own), HandlerSource::Addresses(others)) => {
                let numbered = own.iter().enumerate();
                let both = numbered.filter(|(_, address)| others.contains(address));
                both.map(|(index, address)| Shared {
                    place: format!("addresses[{index}]"),
                    way: "addresses",
                    what: address.to_string(),
                })
                .collect()
            }
            (Self::Dns(name, dns), HandlerSource::Dns(other, others))
                if name == other && dns.port == others.port =>
            {
                vec![Shared {
                    place: "dns".to_owned(),
                    way: "dns",
                    what: format!("{name} with port {}", dns.port),
                }]
            }
            (Self::File(own), HandlerSource::File(other)) if own == other => vec![Shared {
                place: "file".to_owned(),
                way: "file",
                what: own.display().to_string(),
            }],
            _ => Vec::new(),
        }
    }
}

/// What two sets of replicas have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Where it stands in the first set, such as `addresses[1]`.
    pub place: String,
    /// Where it stands in the other one: `addresses`, `dns` or `file`.
    pub way: &'static str,
    /// What it is.
    pub what: String,
}

impl Handler {
    /// What of the handler's or its canary's is the mirror's as well: where it stands in `handler.mirror`, where else,
    /// and what it is. A mirror that gets connections of its own is none.
    #[must_use]
    pub fn shared_with_mirror(&self) -> Vec<(String, String, String)> {
        let Some(mirror) = self.mirror.source() else {
            return Vec::new();
        };
        let others = [
            ("handler", Some(self.source())),
            ("handler.canary", self.canary.source()),
        ];
        others
            .into_iter()
            .filter_map(|(key, source)| Some((key, mirror.shares(source?))))
            .flat_map(|(key, shared)| shared.into_iter().map(move |each| (key, each)))
            .map(|(key, Shared { place, way, what })| {
                (
                    format!("handler.mirror.{place}"),
                    format!("{key}.{way}"),
                    what,
                )
            })
            .collect()
    }
}
