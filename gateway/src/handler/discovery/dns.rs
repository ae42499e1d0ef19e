//! A name that stands for the addresses of all endpoints, asked for again and again.
//!
//! An answer without addresses, and none at all, leave the endpoints that were found before: names flap, and whether
//! an endpoint is there its connections tell better.

use std::{
    net::IpAddr,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use config::{HandlerAddress, HandlerDns, HostName};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{RData, RecordType},
    },
};
use tokio::time::sleep;

use super::Target;
use crate::{
    backoff::jittered,
    handler::{endpoints::Inner, settings::Resolution},
};

/// How often a question is repeated that nobody answers.
const ATTEMPTS: usize = 2;

/// Whom is asked, and for what.
pub(in crate::handler) struct Follower {
    resolver: TokioResolver,
    name: Arc<HostName>,
    settings: HandlerDns,
}

impl Follower {
    pub(in crate::handler) fn new(
        name: &HostName,
        settings: &HandlerDns,
    ) -> Result<Self, NetError> {
        let mut builder = if settings.nameservers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = settings.nameservers.iter().map(|server| {
                let mut ways = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for way in &mut ways {
                    way.port = server.0.port();
                }
                NameServerConfig::new(server.0.ip(), true, ways)
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = settings.timeout;
        options.attempts = ATTEMPTS;
        // What is remembered is the list of endpoints.
        options.cache_size = 0;
        Ok(Self {
            resolver: builder.build()?,
            name: Arc::new(name.clone()),
            settings: settings.clone(),
        })
    }

    /// Whether endpoints are spoken to over TLS.
    pub(in crate::handler) fn is_secure(&self) -> bool {
        self.settings.secure
    }

    /// What is wrong before the first answer.
    pub(in crate::handler) fn trouble(&self) -> String {
        format!("{}: its addresses are being asked for", self.name)
    }

    /// Asks for as long as somebody wants to know. `turn` is whose turn it is to say where endpoints are.
    pub(in crate::handler) async fn follow(self, endpoints: Weak<Inner>, turn: u64) {
        let (least, most) = (self.settings.refresh_min, self.settings.refresh_max);
        let mut pause = least;
        loop {
            let answer = self.ask().await;
            let Some(endpoints) = endpoints.upgrade() else {
                return;
            };
            let wait = match answer {
                Ok(found) if !found.addresses.is_empty() => {
                    pause = least;
                    let used_until = found.until.saturating_duration_since(Instant::now());
                    let targets = self.targets(found.addresses, endpoints.most());
                    endpoints.found(turn, targets);
                    used_until.clamp(least, most)
                }
                vain => {
                    let (resolution, why) = match vain {
                        Ok(_) => (Resolution::Empty, "the answer holds no address".to_owned()),
                        Err(error) => (Resolution::Failed, error.to_string()),
                    };
                    endpoints.found_none(turn, resolution, format!("{}: {why}", self.name));
                    // Asked again soon, but not for ever in haste.
                    let wait = jittered(pause);
                    pause = (pause * 2).min(most);
                    wait
                }
            };
            drop(endpoints);
            sleep(wait).await;
        }
    }

    fn targets(&self, addresses: Vec<IpAddr>, most: usize) -> Vec<Target> {
        let (port, secure) = (self.settings.port, self.settings.secure);
        let mut targets: Vec<_> = addresses
            .into_iter()
            .map(|ip| Target {
                address: HandlerAddress::found(ip, port, secure),
                name: Some(self.name.clone()),
            })
            .collect();
        // In one order, so that the same ones are left out each time, and by all pods.
        targets.sort_by(|one, other| one.address.cmp(&other.address));
        targets.dedup();
        if targets.len() > most {
            let (name, found) = (&self.name, targets.len());
            tracing::warn!(%name, found, most, "the name stands for more handlers than handler.max_endpoints; the rest is left out");
            targets.truncate(most);
        }
        targets
    }

    /// Both families, or a failure: half of an answer would make endpoints leave that are there.
    async fn ask(&self) -> Result<Found, NetError> {
        self.resolver.clear_cache();
        let (v4, v6) = tokio::join!(self.ask_for(RecordType::A), self.ask_for(RecordType::AAAA));
        let (mut found, more) = (v4?, v6?);
        found.addresses.extend(more.addresses);
        found.until = found.until.min(more.until);
        Ok(found)
    }

    async fn ask_for(&self, kind: RecordType) -> Result<Found, NetError> {
        match self.resolver.lookup(self.name.as_str(), kind).await {
            Ok(lookup) => Ok(Found {
                addresses: lookup
                    .answers()
                    .iter()
                    .filter_map(|record| match record.data {
                        RData::A(ip) => Some(IpAddr::V4(ip.0)),
                        RData::AAAA(ip) => Some(IpAddr::V6(ip.0).to_canonical()),
                        _ => None,
                    })
                    .collect(),
                until: lookup.valid_until(),
            }),
            Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords {
                response_code: ResponseCode::NoError | ResponseCode::NXDomain,
                ..
            }))) => Ok(Found {
                addresses: Vec::new(),
                until: Instant::now() + Duration::from_secs(3600),
            }),
            Err(error) => Err(error),
        }
    }
}

/// What a name stands for.
struct Found {
    addresses: Vec<IpAddr>,
    /// How long that is so.
    until: Instant,
}
