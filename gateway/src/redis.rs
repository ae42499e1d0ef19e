//! The link to the Redis that the pods share, whatever its shape: one server, one that sentinels look after, or a cluster.
//!
//! To each server there are two connections: one takes commands, one subscribes, so that a subscriber whom Redis cuts
//! off takes no command along. Both come back by themselves, and what was subscribed to is again. What was sent and not
//! answered is never sent again here: whoever asked decides. What comes unasked waits in `Pushes`, which is bounded.

/// Why something has failed.
mod failure;
/// The slots of a cluster.
mod slots;
/// The names of keys and channels.
mod names;
/// Scripts.
mod script;
/// What came and waits for the pod.
mod pushes;
/// Which channels are wanted, and which are confirmed.
mod channels;
/// How servers are reached.
mod access;
/// Bytes and values.
mod wire;
/// What is looked at after each login.
mod checks;
/// A connection for commands.
mod commands;
/// A connection that subscribes.
mod subscriptions;
/// Servers, and their slots.
mod node;
/// What the tasks share.
mod shared;
/// Connections come back.
mod keep;
/// The map of a cluster.
mod cluster;
/// The master that sentinels look after.
mod sentinel;
/// One command on its way.
mod carry;
/// Several that leave together.
mod piece;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use redis::{Cmd, FromRedisValue, Value};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::DropGuard;

use self::{
    access::{Access, Address},
    names::Names,
    node::{Map, Node, Place},
    pushes::Queue,
    sentinel::Sentinels,
    shared::Shared,
};
pub use self::{
    checks::{COMMANDS, COMMANDS_OF_A_CLUSTER, COMMANDS_OF_ONE},
    failure::{Error, Failure, Problem},
    piece::{Answer, Piece},
    pushes::{Cause, Push, Pushes},
    script::Script,
    slots::{SLOTS, Slots, slot_of},
};
use crate::{conn_id, metrics::Metrics};
use config::RedisMode;

/// Whether the link is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Every server is connected, and all subscriptions are confirmed.
    Connected {
        /// How often that was so: another number means that it was away in between.
        generation: u64,
    },
    /// Something is missing. Of a cluster, other nodes may work all the same.
    Away {
        /// Since when.
        since: Instant,
        /// What is missing, as far as is known now.
        why: Problem,
    },
}

impl State {
    /// Whether it is whole.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

/// The link. Clones are the same; with the last one it ends.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    _ends: Arc<DropGuard>,
}

impl Link {
    /// Starts it, within a runtime. It does not wait for Redis to be there. Blocks for as long as files take to read.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn start(
        config: &config::Redis,
        cluster: &config::Cluster,
        metrics: &Metrics,
    ) -> Result<(Self, Pushes), Error> {
        let key = cluster.key_file.as_deref().unwrap_or(Path::new(""));
        let fingerprint = conn_id::fingerprint(key)?;
        let names = Names::new(config.prefix.as_str(), cluster.name.as_str(), fingerprint);
        let bytes = config.push_queue_bytes.bytes();
        let metrics = metrics.redis();
        let queue = Queue::new(config.push_queue as usize, bytes, metrics.clone());
        let shared = Shared::new(config, names, queue.clone(), metrics)?;
        warn_if_readable(config);
        let seeds: Vec<Address> = config.urls.iter().map(Address::from).collect();
        match config.mode {
            RedisMode::Standalone => {
                let place = Place::Fixed(
                    seeds
                        .into_iter()
                        .next()
                        .expect("checked by the configuration"),
                );
                one(&shared, place);
            }
            RedisMode::Sentinel => follow(&shared, config, seeds)?,
            RedisMode::Cluster => {
                spawn(&shared, cluster::chart(shared.clone(), seeds));
            }
        }
        let link = Self {
            _ends: Arc::new(shared.ended.clone().drop_guard()),
            shared,
        };
        Ok((link, Pushes::new(queue)))
    }

    /// What stands before all names of the cluster.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.shared.names.prefix()
    }

    /// The name of a key or channel, the same in every mode. All with the same `tag`, which holds no braces, are on one
    /// server, so that one script may use them.
    #[must_use]
    pub fn key(&self, tag: &str, rest: &str) -> String {
        self.shared.names.name(tag, rest)
    }

    /// Has a command carried out that is about this key. Many are under way at once; those awaited one after another are
    /// carried out in that order. It must not block, as those after it would wait.
    ///
    /// # Errors
    /// [`Failure::may_be_done`] says whether it may be carried out all the same; it is never sent again then.
    pub async fn command<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Result<T, Failure> {
        let packed = Bytes::from(command.get_packed_command());
        understood(self.carry(slot_of(key.as_bytes()), packed).await?)
    }

    /// Runs a script on these keys, which all have one tag.
    ///
    /// # Errors
    /// As of [`Link::command`]. Of a script that was refused, what it did before may be done.
    pub async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, Failure> {
        let slot = slot_of(keys.first().copied().unwrap_or_default().as_bytes());
        let named = Bytes::from(script.by_name(keys, arguments));
        match self.carry(slot, named).await {
            Err(Failure::Refused { code, .. }) if &*code == "NOSCRIPT" => {
                let whole = Bytes::from(script.whole(keys, arguments));
                understood(self.carry(slot, whole).await?)
            }
            other => understood(other?),
        }
    }

    /// Publishes to all that are subscribed to the channel. Those awaited one after another arrive in that order.
    ///
    /// # Errors
    /// As of [`Link::command`].
    pub async fn publish(&self, channel: &str, payload: &[u8]) -> Result<(), Failure> {
        let mut command = redis::cmd(self.publishes_by());
        command.arg(channel).arg(payload);
        self.command(channel, &command).await
    }

    /// The command that publishes: `PUBLISH`, in a cluster `SPUBLISH`. For scripts.
    #[must_use]
    pub fn publishes_by(&self) -> &'static str {
        if self.shared.is_cluster() {
            "SPUBLISH"
        } else {
            "PUBLISH"
        }
    }

    /// Subscribes to channels, and returns once Redis has confirmed all of them. They are remembered whatever becomes of
    /// this: they are subscribed to again after every loss, until [`Link::unsubscribe`].
    ///
    /// # Errors
    /// Redis is not there, does not answer in time, or says no.
    pub async fn subscribe(&self, channels: &[String]) -> Result<(), Failure> {
        let shared = &self.shared;
        let map = shared.map.load_full();
        let session = |slot| map.owner(slot).map_or(0, |node| node.session());
        let (ticket, touched) = shared.channels.want(channels, session);
        shared.metrics.subscribed(shared.channels.count());
        shared.touch(&touched);
        if let Some(slot) = touched.iter().find(|&slot| session(slot) == 0) {
            let why = map.owner(slot).map(|node| node.trouble());
            let why = why
                .unwrap_or_else(|| Some(map.trouble.clone().unwrap_or(Problem::NoOwner { slot })));
            return Err(Failure::Away(why.unwrap_or(Problem::New)));
        }
        let settled = timeout(shared.timeout, ticket.settled()).await;
        settled.unwrap_or(Err(Failure::TimedOut {
            limit: shared.timeout,
            sent: true,
        }))
    }

    /// Ends subscriptions, in its own time. Messages that are under way may still come.
    pub fn unsubscribe(&self, channels: &[String]) {
        let touched = self.shared.channels.forget(channels);
        let count = self.shared.channels.count();
        self.shared.metrics.subscribed(count);
        self.shared.touch(&touched);
    }

    /// Whether the link is whole, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Leaves all connections and makes them anew: for whoever knows that nothing comes, although all looks well.
    pub fn reconnect(&self) {
        for node in &self.shared.map.load().nodes {
            node.again.send_modify(|count| *count += 1);
        }
    }
}

fn understood<T: FromRedisValue>(value: Value) -> Result<T, Failure> {
    T::from_redis_value(value).map_err(|error| Failure::Unexpected(error.to_string().into()))
}

/// All slots are of one server.
fn one(shared: &Arc<Shared>, place: Place) {
    let node = Node::new(place, shared.ended.child_token());
    shared.adopt(Map::of_one(node.clone()));
    keep::keep(shared, &node);
}

fn follow(shared: &Arc<Shared>, config: &config::Redis, seeds: Vec<Address>) -> Result<(), Error> {
    let (says, master) = watch::channel(None);
    let sentinels = Sentinels {
        shared: shared.clone(),
        access: Access::to_sentinels(config)?,
        seeds,
        name: config.sentinel.master.clone().unwrap_or_default(),
        says,
    };
    one(shared, Place::Master(master));
    spawn(shared, sentinels.follow());
    Ok(())
}

fn spawn(shared: &Shared, task: impl Future<Output = ()> + Send + 'static) {
    let ended = shared.ended.clone();
    tokio::spawn(async move { ended.run_until_cancelled(task).await });
}

fn warn_if_readable(config: &config::Redis) {
    let readable = |url: &&config::RedisUrl| !url.is_secure() && !url.is_local();
    if let Some(url) = config.urls.iter().find(readable) {
        let address = url.to_string();
        tracing::warn!(
            address,
            "what pods say to each other through Redis can be read and changed on its way; write rediss://"
        );
    }
}
