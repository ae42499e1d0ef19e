//! What is left in Redis of a life of a pod, and who sees to it.

use std::time::Duration;

use crate::{
    cluster::{Cluster, Names},
    redis::{Failure, Link, Script},
};

/// Becomes the heir of a life that nobody has heard of for a lease, unless another pod is.
const INHERIT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) >= now then return 0 end
local heir = redis.call('GET', KEYS[2])
if heir and heir ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
";

/// The life is over, unless its pod was heard of meanwhile.
const FENCE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) >= now then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
";

/// Nothing is left of it.
const BURY: &str = r"
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
return 0
";

/// Connections that are read at a time.
const AT_ONCE: u32 = 500;

/// What is left of lives. For one pod.
pub(super) struct Estates {
    link: Link,
    names: Names,
    own: String,
    /// For how long an heir has it without a word.
    hold: Duration,
    inherit: Script,
    fence: Script,
    bury: Script,
}

/// Some of what handlers know: connections, and the endpoints of the handlers that know them.
pub(super) struct Page {
    pub(super) known: Vec<(String, String)>,
    /// Where to go on; 0 where that was all.
    pub(super) next: u64,
}

impl Estates {
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self {
            link: cluster.link().clone(),
            names: cluster.names().clone(),
            own: cluster.life(),
            hold: 4 * cluster.lease(),
            inherit: Script::new(INHERIT),
            fence: Script::new(FENCE),
            bury: Script::new(BURY),
        }
    }

    /// Whether this pod is the heir of that life now; it has to be said again before the time is over.
    pub(super) async fn inherit(&self, life: &str) -> Result<bool, Failure> {
        let keys = [self.names.lives(), self.names.heir(life)];
        let hold = millis(self.hold);
        let arguments = [life, &self.own, &hold].map(str::as_bytes);
        self.run(&self.inherit, &keys, &arguments).await
    }

    /// Whether the life is over now, and will be for `keep` if its pod wakes up. Else the pod was heard of.
    pub(super) async fn fence(&self, life: &str, keep: Duration) -> Result<bool, Failure> {
        let keys = [self.names.lives(), self.names.fence(life)];
        let keep = millis(keep);
        let arguments = [life, &self.own, &keep].map(str::as_bytes);
        self.run(&self.fence, &keys, &arguments).await
    }

    /// Nothing is left of it.
    pub(super) async fn bury(&self, life: &str) -> Result<(), Failure> {
        let keys = [
            self.names.lives(),
            self.names.lives_at(),
            self.names.heir(life),
        ];
        self.run(&self.bury, &keys, &[life.as_bytes()])
            .await
            .map(|_: bool| ())
    }

    /// What the pod has said of where it is called, sealed.
    pub(super) async fn address(&self, life: &str) -> Result<Option<Vec<u8>>, Failure> {
        let key = self.names.lives_at();
        let mut get = redis::cmd("HGET");
        get.arg(&key).arg(life);
        self.link.command(&key, &get).await
    }

    /// Some of what handlers know, from there on.
    pub(super) async fn known(&self, life: &str, cursor: u64) -> Result<Page, Failure> {
        let key = self.names.known(life);
        let mut scan = redis::cmd("HSCAN");
        scan.arg(&key).arg(cursor).arg("COUNT").arg(AT_ONCE);
        let (next, known) = self.link.command(&key, &scan).await?;
        Ok(Page { known, next })
    }

    /// These connections are seen to.
    pub(super) async fn settle(&self, life: &str, conns: &[&str]) -> Result<(), Failure> {
        let key = self.names.known(life);
        let mut forget = redis::cmd("HDEL");
        forget.arg(&key).arg(conns);
        self.link.command(&key, &forget).await
    }

    async fn run(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<bool, Failure> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let answer: u8 = self.link.script(script, &keys, arguments).await?;
        Ok(answer == 1)
    }
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}
