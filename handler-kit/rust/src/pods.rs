//! Connections by the pod that holds them, while they live.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use proto::stream::GatewayHello;
use tokio_util::sync::CancellationToken;

use crate::{Handler, session::Session};

/// Connections that have ended and are remembered, of each pod: their last acknowledgement may be lost.
const ENDED: usize = 1024;

/// One start of one pod.
pub(crate) struct Pod<H> {
    /// Another start of the pod has taken its place.
    pub(crate) replaced: CancellationToken,
    connections: Mutex<Connections<H>>,
}

struct Connections<H> {
    lanes: usize,
    /// By their numbers, with those that have ended.
    sessions: HashMap<u64, Arc<Session<H>>>,
    /// The last that have ended.
    ended: VecDeque<(u64, Arc<Session<H>>)>,
}

/// The pods that have lanes here or had some lately, by name and epoch. Their connections are bounded by what gateways
/// hold, and by the time for which one that is detached is kept.
pub(crate) struct Pods<H>(Mutex<Table<H>>);

type Table<H> = HashMap<(String, u64), Arc<Pod<H>>>;

/// A connection has got a new object.
pub(crate) struct Replaced<H> {
    pub(crate) old: Option<Arc<Session<H>>>,
    pub(crate) new: Arc<Session<H>>,
}

impl<H> Default for Pods<H> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<H: Handler> Pods<H> {
    /// The pod that a new lane is of. What other starts of it held is gone.
    pub(crate) fn join(&self, hello: &GatewayHello) -> Arc<Pod<H>> {
        let key = (hello.pod.clone(), hello.epoch);
        let mut pods = self.0.lock();
        let old: Vec<_> = pods
            .extract_if(|(name, epoch), _| *name == hello.pod && *epoch != hello.epoch)
            .collect();
        let pod = pods.entry(key).or_insert_with(Pod::new).clone();
        pod.connections.lock().lanes += 1;
        drop(pods);
        for (_, old) in old {
            old.replaced.cancel();
            for session in old.take() {
                session.detach();
            }
        }
        pod
    }

    /// A lane of the pod has ended, and what it has left is gone.
    pub(crate) fn leave(&self, pod: &Arc<Pod<H>>) {
        let mut pods = self.0.lock();
        let mut connections = pod.connections.lock();
        connections.lanes -= 1;
        if connections.lanes == 0 && connections.sessions.len() <= connections.ended.len() {
            pods.retain(|_, each| !Arc::ptr_eq(each, pod));
        }
    }

    /// The process goes, and connections go on elsewhere: nobody waits any more.
    pub(crate) fn abandon(&self) {
        let pods: Vec<_> = self.0.lock().drain().collect();
        for (_, pod) in pods {
            for session in pod.take() {
                session.discard();
            }
        }
    }
}

impl<H: Handler> Pod<H> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            replaced: CancellationToken::new(),
            connections: Mutex::new(Connections {
                lanes: 0,
                sessions: HashMap::new(),
                ended: VecDeque::new(),
            }),
        })
    }

    pub(crate) fn find(&self, conn: u64) -> Option<Arc<Session<H>>> {
        self.connections.lock().sessions.get(&conn).cloned()
    }

    /// Puts there what `make` makes, which is shown the session that is known.
    pub(crate) fn replace(
        &self,
        conn: u64,
        make: impl FnOnce(Option<&Arc<Session<H>>>) -> Option<Arc<Session<H>>>,
    ) -> Option<Replaced<H>> {
        let mut connections = self.connections.lock();
        if self.replaced.is_cancelled() {
            return None;
        }
        let new = make(connections.sessions.get(&conn))?;
        let old = connections.sessions.insert(conn, new.clone());
        Some(Replaced { old, new })
    }

    /// All connections of which that is true.
    pub(crate) fn select(
        &self,
        is_wanted: impl Fn(&Session<H>) -> bool,
    ) -> Vec<(u64, Arc<Session<H>>)> {
        let connections = self.connections.lock();
        let sessions = connections.sessions.iter();
        let wanted = sessions.filter(|(_, session)| is_wanted(session));
        wanted
            .map(|(conn, session)| (*conn, session.clone()))
            .collect()
    }

    /// Takes a connection out, if it is still this session and that is true. Whether it was.
    pub(crate) fn remove(
        &self,
        conn: u64,
        session: &Arc<Session<H>>,
        is_wanted: impl Fn(&Session<H>) -> bool,
    ) -> bool {
        let mut connections = self.connections.lock();
        let known = connections.sessions.get(&conn);
        let removes = known.is_some_and(|known| Arc::ptr_eq(known, session) && is_wanted(known));
        if removes {
            connections.sessions.remove(&conn);
        }
        removes
    }

    /// A connection has ended. It is remembered for a while: its last event may come again.
    pub(crate) fn ended(&self, conn: u64, session: &Arc<Session<H>>) {
        let mut connections = self.connections.lock();
        let known = connections.sessions.get(&conn);
        if !known.is_some_and(|known| Arc::ptr_eq(known, session)) {
            return;
        }
        connections.ended.push_back((conn, session.clone()));
        if connections.ended.len() > ENDED
            && let Some((conn, oldest)) = connections.ended.pop_front()
            && let Some(known) = connections.sessions.get(&conn)
            && Arc::ptr_eq(known, &oldest)
        {
            connections.sessions.remove(&conn);
        }
    }

    fn take(&self) -> Vec<Arc<Session<H>>> {
        let mut connections = self.connections.lock();
        connections.ended.clear();
        let sessions = std::mem::take(&mut connections.sessions);
        sessions.into_values().collect()
    }
}
