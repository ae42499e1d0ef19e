//! How a connection becomes a client: authenticated, alone with its clientid, with its mountpoint and its session.

/// A clientid's ownership.
mod claim;
/// Clients that other pods may get.
mod elsewhere;
/// When clients come and go, as messages.
mod events;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use config::{Config, Mountpoint, Placeholder};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::time::timeout;

use crate::{
    admission::Bans,
    auth::{Authentication, Credentials, Grant, Refused},
    authorization::{Access, Rules},
    broker::{Broker, Sessions, queue, sessions, topic},
    conn_id::ConnId,
    connection::{Begin, CallError, Client, CloseReason, Handle, Moment, Origin},
    ownership::Ownership,
    shared_sessions::SharedSessions,
};

use self::claim::Claim;

/// How long the older connection of a clientid may take to stop taking calls. It needs no handler for that, so it is
/// a matter of microseconds.
const TAKEOVER: Duration = Duration::from_secs(5);

/// Who has which clientid. Clones are the same.
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    authentication: Authentication,
    manners: ArcSwap<Manners>,
    bans: Bans,
    owners: DashMap<Arc<str>, Handle>,
    /// Those that had a clientid, and have been told to end for another one: it has to wait for all of them, as each of
    /// them may have something to hand over. Locked after `owners`.
    leaving: DashMap<Arc<str>, HashMap<ConnId, Handle>>,
    /// Who has which clientid in other pods, where there are others.
    ownership: Option<Ownership>,
    broker: Broker,
    sessions: Sessions,
    /// The same over all pods, where there are others.
    shared_sessions: Option<SharedSessions>,
    /// Whether coming and going is published.
    sys_events: bool,
}

/// What the configuration says of clients that come.
struct Manners {
    /// By listener.
    listeners: HashMap<String, (Mountpoint, Option<Duration>)>,
    /// No session outlives its connection for longer.
    max_expiry: Duration,
}

impl Manners {
    fn new(config: &Config) -> Self {
        let own = |listener: &config::Listener| {
            let mountpoint = listener.mountpoint.as_ref().unwrap_or(&config.mountpoint);
            let manners = (mountpoint.clone(), listener.session_expiry);
            (listener.name.to_string(), manners)
        };
        Self {
            listeners: config.listeners.iter().map(own).collect(),
            max_expiry: config.sessions.max_expiry,
        }
    }
}

/// How much is kept of clients that have gone.
pub(crate) fn limits(config: &config::Sessions) -> sessions::Limits {
    sessions::Limits {
        sessions: config.max_sessions as usize,
        bytes: config.max_bytes.bytes(),
        queue: queue::Limits {
            messages: config.message_queue as usize,
            bytes: config.message_queue_bytes.bytes(),
        },
    }
}

impl Clients {
    /// Nobody has any clientid yet.
    #[must_use]
    pub fn new(
        authentication: Authentication,
        config: &Config,
        bans: Bans,
        (broker, sessions): (Broker, Sessions),
        others: Option<(Ownership, SharedSessions)>,
    ) -> Self {
        let (ownership, shared_sessions) = others.unzip();
        Self(Arc::new(Inner {
            authentication,
            ownership,
            shared_sessions,
            manners: ArcSwap::from_pointee(Manners::new(config)),
            bans,
            owners: DashMap::new(),
            leaving: DashMap::new(),
            sessions,
            broker,
            sys_events: config.broker.sys_events,
        }))
    }

    /// The connection that has the clientid. It may not be the client yet, or not any more.
    #[must_use]
    pub fn owner(&self, clientid: &str) -> Option<Handle> {
        self.0.owners.get(clientid).map(|owner| owner.clone())
    }

    /// Takes what the configuration says of clients that come later, and of sessions.
    pub fn configure(&self, config: &Config) {
        self.0.manners.store(Arc::new(Manners::new(config)));
        self.0.sessions.configure(limits(&config.sessions));
    }

    /// The sessions of clients that have gone.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Ends a client: its connection with `kicked`, and its session, also where it is not connected. `None`: it has
    /// neither. Else the connection, if there was one.
    pub async fn kick(&self, clientid: &str) -> Option<Option<Handle>> {
        let owner = self.owner(clientid);
        // One that is being authenticated is nobody yet.
        let connected = owner.filter(|handle| handle.client().is_ok());
        if let Some(handle) = &connected {
            handle.end(CloseReason::Kicked);
            // Then whoever asks again does not find it; and it may have been ending for another reason.
            handle.ended().await;
        }
        let had_session = self.0.sessions.discard(clientid);
        (connected.is_some() || had_session).then_some(connected)
    }

    /// Ends the sessions of clients that are banned and not connected.
    pub fn end_banned_sessions(&self) {
        let is_banned = |clientid: &str| self.0.bans.is_banned_client(clientid).is_some();
        self.0.sessions.discard_those(is_banned);
    }

    /// Makes the connection the client that the credentials name, and closes any older one with the same clientid.
    /// `expiry` is how long its session is to outlive it, where that is not the listener's affair. Where there is a
    /// session: whether it was there before.
    pub async fn authenticate(
        &self,
        handle: &Handle,
        credentials: Credentials,
        expiry: Option<Duration>,
    ) -> Result<Option<bool>, CallError> {
        let _attempt = match handle.begin_authenticate(&credentials.clientid)? {
            Begin::Known => {
                let asked = expiry.is_some_and(|expiry| !expiry.is_zero());
                let present = handle.has_session();
                return Ok((present || asked).then_some(present));
            }
            Begin::Check(attempt) => attempt,
        };
        let session_expiry = self.session_expiry(&credentials.listener, expiry);
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
        let mountpoint = self.mountpoint(&credentials, &grant)?;
        let username = if grant.hides_username {
            String::new()
        } else {
            credentials.username
        };
        let access = access(grant)?;
        let client = Arc::new(Client {
            clientid: credentials.clientid.into(),
            username,
            mountpoint,
            access,
            origin: Origin {
                proto_name: credentials.proto_name.into(),
                proto_ver: credentials.proto_ver.into(),
                authenticated_at: Moment::now(),
                expires_at: expires_at.map(Moment::from),
            },
        });
        let claim = self.claim(&client, handle, session_expiry).await?;
        let clientid = client.clientid.clone();
        let present = handle
            .authenticated(client, expiry, Box::new(claim))
            .await?;
        // It may have been banned while it was checked, and was no client then that could have been closed.
        if self.0.bans.is_banned_client(&clientid).is_some() {
            handle.end(CloseReason::Banned);
        }
        Ok(present)
    }

    async fn claim(
        &self,
        client: &Arc<Client>,
        handle: &Handle,
        expiry: Duration,
    ) -> Result<Claim, CallError> {
        let clientid = &client.clientid;
        let older = match self.0.owners.entry(clientid.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(handle.clone());
                None
            }
            // A call that its caller has given up, and that is not done yet.
            Entry::Occupied(entry) if entry.get().id() == handle.id() => {
                return Err(CallError::Authenticating);
            }
            // Whoever goes does not throw out whoever has come.
            Entry::Occupied(entry) if handle.is_ending() && !entry.get().is_ending() => {
                return Err(CallError::Gone);
            }
            Entry::Occupied(mut entry) => {
                let older = entry.insert(handle.clone());
                let mut leaving = self.0.leaving.entry(clientid.clone()).or_default();
                leaving.insert(older.id().clone(), older.clone());
                Some(older)
            }
        };
        let claim = Claim {
            clients: self.clone(),
            client: client.clone(),
            owner: handle.clone(),
            expiry,
            held: self.0.ownership.as_ref().map(|all| all.hold(clientid)),
        };
        if let Some(older) = older {
            older.end(CloseReason::Discarded);
        }
        match timeout(TAKEOVER, self.alone(clientid, handle)).await {
            Ok(alone) => alone?,
            Err(_) => {
                tracing::error!(conn = %handle.id(), "the older connection of a client does not end");
            }
        }
        self.have_it_here(&claim).await?;
        Ok(claim)
    }

    /// Waits until all connections that had the clientid before have handed over what they had; or until it is
    /// somebody else's again, who then waits for this one as well.
    async fn alone(&self, clientid: &Arc<str>, handle: &Handle) -> Result<(), CallError> {
        while let Some(older) = self.leaving(clientid, handle)? {
            tokio::select! {
                () = older.ended() => {}
                () = handle.ended() => return Err(CallError::Gone),
            }
        }
        Ok(())
    }

    /// One of those connections; `Gone` where this is another one.
    fn leaving(&self, clientid: &Arc<str>, handle: &Handle) -> Result<Option<Handle>, CallError> {
        let Entry::Occupied(mut entry) = self.0.leaving.entry(clientid.clone()) else {
            return Ok(None);
        };
        if entry.get().contains_key(handle.id()) {
            return Err(CallError::Gone);
        }
        // What has ended goes: of many rivals, each looks at no more than one that has not.
        while let Some((id, older)) = entry.get().iter().next() {
            if older.alive().is_ok() {
                return Ok(Some(older.clone()));
            }
            let id = id.clone();
            entry.get_mut().remove(&id);
        }
        entry.remove();
        Ok(None)
    }

    /// How long the session of a client is to outlive its connection; zero where it has none.
    fn session_expiry(&self, listener: &str, wanted: Option<Duration>) -> Duration {
        let manners = self.0.manners.load();
        let of_listener = || {
            manners
                .listeners
                .get(listener)
                .and_then(|(_, expiry)| *expiry)
        };
        let expiry = wanted.or_else(of_listener).unwrap_or_default();
        expiry.min(manners.max_expiry)
    }

    fn mountpoint(&self, credentials: &Credentials, grant: &Grant) -> Result<String, CallError> {
        let manners = self.0.manners.load();
        let Some((template, _)) = manners.listeners.get(&credentials.listener) else {
            return Err(CallError::Unavailable("the listener is gone".to_owned()));
        };
        template.fill(|placeholder| {
            let value = match placeholder {
                Placeholder::Clientid => credentials.clientid.as_str(),
                Placeholder::Username if grant.hides_username => "",
                Placeholder::Username => &credentials.username,
                Placeholder::Attribute(name) => {
                    let value = grant.attributes.get(name.as_str());
                    value.map_or("", |value| value)
                }
            };
            // Else a device could choose a name that reaches into what is mounted for others, or for the system.
            if !topic::is_level(value) || value.contains('$') {
                return Err(CallError::Denied(format!(
                    "{placeholder} stands in the listener's mountpoint, so it must not be empty or hold any of / + # $"
                )));
            }
            Ok(value)
        })
    }
}

/// What a client brings along of rules and attributes takes no more bytes: it is kept for as long as the client.
const LARGEST_ACCESS: usize = 64 * 1024;

fn access(grant: Grant) -> Result<Access, CallError> {
    let attributes = grant.attributes.iter();
    let attributes: usize = attributes
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let rules = grant.acl.as_ref().map_or(0, |acl| acl.to_string().len());
    if attributes + rules > LARGEST_ACCESS {
        return Err(CallError::Denied(format!(
            "the rules and attributes that came with authentication have {} bytes; at most {LARGEST_ACCESS} are taken",
            attributes + rules
        )));
    }
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
