//! How a connection becomes a client: authenticated, alone with its clientid, and with its mountpoint.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use config::{Config, Mountpoint};
use dashmap::DashMap;
use tokio::time::timeout;

use crate::{
    admission::Bans,
    auth::{Attributes, Authentication, Credentials, Grant, Refused},
    authorization::{Access, Rules},
    connection::{Begin, CallError, Client, CloseReason, Handle, Moment, Origin},
};

/// How long the older connection of a clientid may take to stop taking calls. It needs no handler for that, so it is
/// a matter of microseconds.
const TAKEOVER: Duration = Duration::from_secs(5);

/// Who has which clientid. Clones are the same.
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    authentication: Authentication,
    /// By listener.
    mountpoints: ArcSwap<HashMap<String, Mountpoint>>,
    bans: Bans,
    owners: DashMap<Arc<str>, Handle>,
}

/// A clientid's ownership; given up when dropped, unless somebody else has it by then.
struct Claim {
    clients: Clients,
    clientid: Arc<str>,
    owner: Handle,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let owners = &self.clients.0.owners;
        owners.remove_if(&self.clientid, |_, owner| owner.id() == self.owner.id());
    }
}

impl Clients {
    /// Nobody has any clientid yet.
    #[must_use]
    pub fn new(authentication: Authentication, config: &Config, bans: Bans) -> Self {
        Self(Arc::new(Inner {
            authentication,
            mountpoints: ArcSwap::from_pointee(mountpoints(config)),
            bans,
            owners: DashMap::new(),
        }))
    }

    /// The connection that has the clientid. It may not be the client yet, or not any more.
    #[must_use]
    pub fn owner(&self, clientid: &str) -> Option<Handle> {
        self.0.owners.get(clientid).map(|owner| owner.clone())
    }

    /// Takes the mountpoints for clients that come later.
    pub fn configure(&self, config: &Config) {
        self.0.mountpoints.store(Arc::new(mountpoints(config)));
    }

    /// Makes the connection the client that the credentials name, and closes any older one with the same clientid.
    pub async fn authenticate(
        &self,
        handle: &Handle,
        credentials: Credentials,
    ) -> Result<(), CallError> {
        let _attempt = match handle.begin_authenticate(&credentials.clientid)? {
            Begin::Known => return Ok(()),
            Begin::Check(attempt) => attempt,
        };
        if let Some(reason) = self.0.bans.is_banned_client(&credentials.clientid) {
            return Err(CallError::Denied(format!(
                "the clientid is banned: {reason}"
            )));
        }
        let grant = match self.0.authentication.authenticate(&credentials).await {
            Ok(grant) => grant,
            Err(Refused::Denied(why)) => {
                handle.failed_to_authenticate();
                return Err(CallError::Denied(why));
            }
            Err(refused @ Refused::Unavailable(_)) => {
                return Err(CallError::Unavailable(refused.to_string()));
            }
        };
        let expires_at = grant.expires_at;
        let expiry = expires_at.map(from_now).transpose()?;
        let mountpoint = self.mountpoint(&credentials, &grant.attributes)?;
        let access = access(grant)?;
        let client = Arc::new(Client {
            clientid: credentials.clientid.into(),
            username: credentials.username,
            mountpoint,
            access,
            origin: Origin {
                proto_name: credentials.proto_name.into(),
                proto_ver: credentials.proto_ver.into(),
                authenticated_at: Moment::now(),
                expires_at: expires_at.map(Moment::from),
            },
        });
        let claim = self.claim(&client.clientid, handle).await;
        let clientid = client.clientid.clone();
        handle
            .authenticated(client, expiry, Box::new(claim))
            .await?;
        // It may have been banned while it was checked, and was no client then that could have been closed.
        if self.0.bans.is_banned_client(&clientid).is_some() {
            handle.end(CloseReason::Banned);
        }
        Ok(())
    }

    async fn claim(&self, clientid: &Arc<str>, handle: &Handle) -> Claim {
        let older = self.0.owners.insert(clientid.clone(), handle.clone());
        let claim = Claim {
            clients: self.clone(),
            clientid: clientid.clone(),
            owner: handle.clone(),
        };
        if let Some(older) = older.filter(|older| older.id() != handle.id()) {
            older.end(CloseReason::Discarded);
            if timeout(TAKEOVER, older.ended()).await.is_err() {
                tracing::error!(conn = %older.id(), "the older connection of a client does not end");
            }
        }
        claim
    }

    fn mountpoint(
        &self,
        credentials: &Credentials,
        attributes: &Attributes,
    ) -> Result<String, CallError> {
        let mountpoints = self.0.mountpoints.load();
        let Some(template) = mountpoints.get(&credentials.listener) else {
            return Ok(String::new());
        };
        template.fill(|name| {
            let value = match name {
                "clientid" => credentials.clientid.as_str(),
                "username" => &credentials.username,
                attribute => {
                    let attribute = attribute.strip_prefix("attr.").unwrap_or_default();
                    attributes.get(attribute).map_or("", |value| value)
                }
            };
            // Else a device could choose a name that reaches into what is mounted for others.
            if value.is_empty() || value.contains(['/', '+', '#', '\0', '$']) {
                return Err(CallError::Denied(format!(
                    "{name} stands in the listener's mountpoint, so it must not be empty or hold any of / + # $"
                )));
            }
            Ok(value)
        })
    }
}

fn mountpoints(config: &Config) -> HashMap<String, Mountpoint> {
    let own = |listener: &config::Listener| {
        let mountpoint = listener.mountpoint.as_ref().unwrap_or(&config.mountpoint);
        (listener.name.to_string(), mountpoint.clone())
    };
    config.listeners.iter().map(own).collect()
}

fn access(grant: Grant) -> Result<Access, CallError> {
    let rules = grant.acl.as_deref().map(Rules::from_json).transpose();
    let rules = rules.map_err(|error| {
        CallError::Denied(format!(
            "the rules that came with authentication cannot be used: {error}"
        ))
    })?;
    Ok(Access::new(
        grant.attributes,
        rules.map(Arc::new),
        grant.superuser,
    ))
}

fn from_now(at: SystemTime) -> Result<Instant, CallError> {
    let left = at
        .duration_since(SystemTime::now())
        .map_err(|_| CallError::Denied("what was granted has expired already".to_owned()))?;
    // Later than the clock can tell is as good as never; a year is later than any connection.
    Ok(Instant::now() + left.min(Duration::from_secs(365 * 24 * 3600)))
}
