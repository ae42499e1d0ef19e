//! Bans, arranged for looking up whom they name and which ends first.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::SystemTime,
};

use config::Banned;
use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

/// How many bans that have ended leave with each change: all devices wait for it.
const MOST_AT_ONCE: usize = 64;

/// Bans of one origin, one for each that is named.
#[derive(Default)]
pub(super) struct Table {
    /// Networks that hold one address: most of them.
    addresses: HashMap<IpAddr, Entry>,
    networks: JointPrefixMap<IpNet, Entry>,
    clients: HashMap<Box<str>, Entry>,
    by_end: BTreeMap<Key, Banned>,
    last_number: u64,
}

/// When a ban ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    At(SystemTime),
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    end: End,
    /// Tells bans apart that end at the same time.
    number: u64,
}

struct Entry {
    key: Key,
    reason: Arc<str>,
}

impl From<Option<SystemTime>> for End {
    fn from(until: Option<SystemTime>) -> Self {
        until.map_or(Self::Never, Self::At)
    }
}

impl End {
    /// `None` is never.
    pub(super) fn until(self) -> Option<SystemTime> {
        match self {
            Self::At(until) => Some(until),
            Self::Never => None,
        }
    }

    fn is_past(self, now: SystemTime) -> bool {
        self <= Self::At(now)
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.by_end.len()
    }

    /// In place of one for the same.
    pub(super) fn insert(&mut self, who: Banned, end: End, reason: Arc<str>) {
        self.last_number += 1;
        let key = Key {
            end,
            number: self.last_number,
        };
        let entry = Entry { key, reason };
        let old = match &who {
            Banned::Network(network) => match address(network) {
                Some(address) => self.addresses.insert(address, entry),
                None => self.networks.insert(network.trunc(), entry),
            },
            Banned::ClientId(clientid) => self.clients.insert(clientid.as_str().into(), entry),
        };
        if let Some(old) = old {
            self.by_end.remove(&old.key);
        }
        self.by_end.insert(key, who);
    }

    /// Whether there was one.
    pub(super) fn remove(&mut self, who: &Banned) -> bool {
        let old = match who {
            Banned::Network(network) => match address(network) {
                Some(address) => self.addresses.remove(&address),
                None => self.networks.remove(&network.trunc()),
            },
            Banned::ClientId(clientid) => self.clients.remove(clientid.as_str()),
        };
        old.is_some_and(|old| self.by_end.remove(&old.key).is_some())
    }

    /// The reason of a ban on that address, which has its own form if it is IPv4.
    pub(super) fn find_ip(&self, device: IpAddr, now: SystemTime) -> Option<&Arc<str>> {
        let address = self.addresses.get(&device);
        let network = IpNet::from(device);
        let networks = self.networks.cover_values(&network);
        let mut entries = address.into_iter().chain(networks);
        entries
            .find(|entry| !entry.key.end.is_past(now))
            .map(|entry| &entry.reason)
    }

    /// The reason of a ban on that client.
    pub(super) fn find_client(&self, clientid: &str, now: SystemTime) -> Option<&Arc<str>> {
        let entry = self.clients.get(clientid)?;
        (!entry.key.end.is_past(now)).then_some(&entry.reason)
    }

    /// Removes those that end first until there are no more than `most`, and then some of those that have ended.
    pub(super) fn trim(&mut self, most: usize, now: SystemTime) {
        let mut ended = 0;
        while let Some((key, who)) = self.by_end.first_key_value() {
            if self.by_end.len() <= most {
                ended += 1;
                if ended > MOST_AT_ONCE || !key.end.is_past(now) {
                    return;
                }
            }
            let who = who.clone();
            self.remove(&who);
        }
    }

    pub(super) fn contains(&self, who: &Banned) -> bool {
        self.entry(who).is_some()
    }

    /// All that have not ended, those that end first before the others.
    pub(super) fn iter(&self, now: SystemTime) -> impl Iterator<Item = (&Banned, End, &Arc<str>)> {
        let running = self
            .by_end
            .iter()
            .filter(move |(key, _)| !key.end.is_past(now));
        running.filter_map(|(key, who)| Some((who, key.end, &self.entry(who)?.reason)))
    }

    fn entry(&self, who: &Banned) -> Option<&Entry> {
        match who {
            Banned::Network(network) => match address(network) {
                Some(address) => self.addresses.get(&address),
                None => self.networks.get(&network.trunc()),
            },
            Banned::ClientId(clientid) => self.clients.get(clientid.as_str()),
        }
    }
}

fn address(network: &IpNet) -> Option<IpAddr> {
    (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
}
