//! A session as it stands in Redis.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proto::cluster::{Session, SessionFilter, Waiting};

use super::{
    kept::{Standing, Subscribed},
    table::Found,
};
use crate::{
    broker::{
        Filter, Message, Qos,
        queue::{Backup, Restored},
        topic::MAX_LEVELS,
    },
    clock,
    cluster::{Position, envelope, message},
    seal::{Kind, Sealer},
};

/// What is read of one.
pub(super) struct Record {
    /// The life of the pod that wrote it.
    pub(super) life: String,
    /// By which claim that pod had the clientid.
    pub(super) claim: u64,
    pub(super) standing: Standing,
    pub(super) filters: Vec<(Filter, Subscribed)>,
    /// How far that pod had heard when it gave the session up.
    pub(super) heard: Option<Position>,
    pub(super) restored: Restored,
}

impl Record {
    /// What there is; none where there is nothing that a pod of this cluster has written for that client.
    pub(super) fn open(sealer: &Sealer, clientid: &str, found: Found) -> Option<Self> {
        if found.session.is_empty() {
            return None;
        }
        let opened = sealer.open::<Session>(Kind::Session, &found.session.into());
        let session = opened.ok().filter(|session| session.clientid == clientid);
        let Some(session) = session else {
            tracing::warn!(
                clientid = crate::ownership::shown(clientid),
                "what stands in Redis as the session of a client was not written for it by a pod of this cluster; it is passed over"
            );
            return None;
        };
        let read = |sealed: Vec<u8>| {
            let waiting: Waiting = sealer.open(Kind::Waiting, &sealed.into()).ok()?;
            let envelope = waiting.message.filter(|_| waiting.clientid == clientid)?;
            message(envelope).ok().map(Arc::new)
        };
        let filter = |each: &SessionFilter| {
            let filter = Filter::parse(&each.filter, MAX_LEVELS).ok()?;
            let qos = Qos::try_from(each.qos).ok()?;
            Some((
                filter,
                Subscribed {
                    qos,
                    since: each.since,
                },
            ))
        };
        let (ids, _) = session.recent.as_chunks::<16>();
        Some(Self {
            heard: Position::open(sealer, &session.heard),
            filters: session.filters.iter().filter_map(filter).collect(),
            restored: Restored {
                waiting: found.messages.into_iter().filter_map(read).collect(),
                unconfirmed: session.unconfirmed as usize,
                taken: session.taken,
                recent: ids.iter().map(|id| u128::from_be_bytes(*id)).collect(),
                between: Vec::new(),
            },
            standing: Standing {
                mark: session.mark.into(),
                expiry: Duration::from_millis(session.expiry),
                ends_at: (session.ends_at > 0).then_some(session.ends_at),
            },
            life: session.life,
            claim: session.claim,
        })
    }

    /// For how long it still waits for its client; none where its time is over.
    pub(super) fn rest(&self) -> Option<Duration> {
        let Some(ends_at) = self.standing.ends_at else {
            return Some(self.standing.expiry);
        };
        let rest = ends_at.checked_sub(clock::now()).filter(|rest| *rest > 0)?;
        Some(Duration::from_millis(rest))
    }
}

/// Seals a session, but for what waits in it.
pub(super) fn seal(
    sealer: &Sealer,
    (clientid, life, claim): (&str, &str, u64),
    standing: &Standing,
    filters: &BTreeMap<Filter, Subscribed>,
    (backup, heard): (&Backup, Option<&Position>),
) -> Vec<u8> {
    let filter = |(filter, subscribed): (&Filter, &Subscribed)| SessionFilter {
        filter: filter.to_string(),
        qos: subscribed.qos.into(),
        since: subscribed.since,
    };
    let session = Session {
        clientid: clientid.to_owned(),
        life: life.to_owned(),
        claim,
        mark: standing.mark.as_ref().to_owned(),
        expiry: u64::try_from(standing.expiry.as_millis()).unwrap_or(u64::MAX),
        ends_at: standing.ends_at.unwrap_or_default(),
        filters: filters.iter().map(filter).collect(),
        unconfirmed: u32::try_from(backup.unconfirmed).unwrap_or(u32::MAX),
        taken: backup.taken,
        heard: heard.map(|heard| heard.seal(sealer)).unwrap_or_default(),
        recent: backup
            .recent
            .iter()
            .flat_map(|id| id.to_be_bytes())
            .collect(),
    };
    sealer.seal(Kind::Session, &session)
}

/// Seals what waits in it.
pub(super) fn seal_message(sealer: &Sealer, clientid: &str, message: &Message) -> Vec<u8> {
    let waiting = Waiting {
        clientid: clientid.to_owned(),
        message: Some(envelope(message)),
    };
    sealer.seal(Kind::Waiting, &waiting)
}
