//! What is left in Redis of a life of a pod, and who sees to it.

use std::{sync::Arc, time::Duration};

use proto::cluster::Known;

use crate::{
    cluster::{Cluster, Names},
    redis::{Failure, Link, Script},
    seal::{Kind, Sealer},
};

/// Becomes the heir of a life that nobody has heard of for a lease and a while, unless another pod is. 2: it is over already.
const INHERIT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) + ARGV[4] >= now then return 0 end
local heir = redis.call('GET', KEYS[2])
if heir and heir ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return redis.call('GET', KEYS[3]) and 2 or 1
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

/// Another pod may be the heir.
const LEAVE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
";

/// Nothing is left of it.
const BURY: &str = r"
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
return 0
";

/// From now on the pod writes nothing there. (Connections have names.)
const CLOSE: &str = r"
redis.call('HSET', KEYS[1], '', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
";

/// Connections that are read at a time.
const AT_ONCE: u32 = 500;

/// What is left of lives. For one pod.
pub(super) struct Estates {
    link: Link,
    names: Names,
    sealer: Arc<Sealer>,
    own: String,
    /// For how long an heir has it without a word.
    hold: Duration,
    inherit: Script,
    fence: Script,
    leave: Script,
    bury: Script,
    close: Script,
}

/// How a pod stands to a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not the heir.
    Stranger,
    /// It is.
    Heir,
    /// It is, of a life that is over for good.
    HeirOfDead,
}

/// Some of what handlers know: connections, and the endpoints of the handlers that know them.
#[derive(Default)]
pub(super) struct Page {
    pub(super) known: Vec<(String, String)>,
    /// Fields that no pod of this cluster has written, or not for this life.
    pub(super) forged: Vec<String>,
    /// Where to go on; 0 where that was all.
    pub(super) next: u64,
}

impl Estates {
    pub(super) fn new(cluster: &Cluster, sealer: Arc<Sealer>) -> Self {
        Self {
            link: cluster.link().clone(),
            names: cluster.names().clone(),
            sealer,
            own: cluster.life(),
            hold: 4 * cluster.lease(),
            inherit: Script::new(INHERIT),
            fence: Script::new(FENCE),
            leave: Script::new(LEAVE),
            bury: Script::new(BURY),
            close: Script::new(CLOSE),
        }
    }

    /// Whether this pod is the heir of that life now, which has been silent for `grace` longer than a lease; it has to be
    /// said again before the time is over.
    pub(super) async fn inherit(&self, life: &str, grace: Duration) -> Result<Standing, Failure> {
        let keys = [
            self.names.lives(),
            self.names.heir(life),
            self.names.fence(life),
        ];
        let (hold, grace) = (millis(self.hold), millis(grace));
        let arguments = [life, &self.own, &hold, &grace].map(str::as_bytes);
        Ok(match self.run(&self.inherit, &keys, &arguments).await? {
            0 => Standing::Stranger,
            1 => Standing::Heir,
            _ => Standing::HeirOfDead,
        })
    }

    /// Whether the life is over now, and will be for `keep` if its pod wakes up. Else the pod was heard of.
    pub(super) async fn fence(&self, life: &str, keep: Duration) -> Result<bool, Failure> {
        let keys = [self.names.lives(), self.names.fence(life)];
        let keep = millis(keep);
        let arguments = [life, &self.own, &keep].map(str::as_bytes);
        Ok(self.run(&self.fence, &keys, &arguments).await? == 1)
    }

    /// What the pod of that life writes from now on does not count.
    pub(super) async fn close(&self, life: &str, keep: Duration) -> Result<(), Failure> {
        let keys = [self.names.known(life)];
        let keep = millis(keep);
        let arguments = [&self.own, &keep].map(String::as_bytes);
        self.run(&self.close, &keys, &arguments).await.map(drop)
    }

    /// This pod is not the heir any more.
    pub(super) async fn leave(&self, life: &str) -> Result<(), Failure> {
        let keys = [self.names.heir(life)];
        let arguments = [self.own.as_bytes()];
        self.run(&self.leave, &keys, &arguments).await.map(drop)
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
            .map(drop)
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
        let (next, fields): (u64, Vec<(String, Vec<u8>)>) = self.link.command(&key, &scan).await?;
        let mut page = Page {
            next,
            ..Page::default()
        };
        for (conn, sealed) in fields.into_iter().filter(|(conn, _)| !conn.is_empty()) {
            let known = self.sealer.open::<Known>(Kind::Known, &sealed.into());
            match known {
                Ok(known) if known.life == life && known.conn == conn => {
                    page.known.push((conn, known.endpoint));
                }
                Ok(_) | Err(_) => page.forged.push(conn),
            }
        }
        Ok(page)
    }

    /// This connection is seen to.
    pub(super) async fn settle(&self, life: &str, conn: &str) -> Result<(), Failure> {
        let key = self.names.known(life);
        let mut forget = redis::cmd("HDEL");
        forget.arg(&key).arg(conn);
        self.link.command(&key, &forget).await
    }

    async fn run(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<u8, Failure> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.link.script(script, &keys, arguments).await
    }
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}
