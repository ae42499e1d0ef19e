//! Bans of all pods: they stand in Redis, and each pod has a copy. Whoever makes one tells the other pods directly; who
//! could not be told, or comes later, finds that there are others when it says that it lives.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use config::Banned;
use proto::cluster::Ban;
use tokio::time::sleep;

use crate::{
    admission::{Bans, bans::Listed},
    backoff::{PAUSE, jittered},
    cluster::Cluster,
    redis::{Failure, Script},
    seal::{Kind, Sealer},
};

const BAN: &str = r"
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
return 0
";

const LIFT: &str = r"
local was_there = redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
return was_there
";

/// Unless it is another one by now.
const FORGET: &str = r"
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
";

/// By how much clocks may differ: a ban that has ended for this pod may go on for another one.
const APART: Duration = Duration::from_secs(60);

/// The bans of all pods. Clones are the same.
#[derive(Clone)]
pub struct SharedBans(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    sealer: Arc<Sealer>,
    ban: Script,
    lift: Script,
    forget: Script,
}

impl SharedBans {
    /// Those of this cluster.
    #[must_use]
    pub fn new(cluster: Cluster, sealer: Arc<Sealer>) -> Self {
        Self(Arc::new(Inner {
            cluster,
            sealer,
            ban: Script::new(BAN),
            lift: Script::new(LIFT),
            forget: Script::new(FORGET),
        }))
    }

    /// Keeps a ban for all pods, in place of one on exactly the same.
    ///
    /// # Errors
    /// Redis may not have it.
    pub async fn ban(&self, ban: &Listed) -> Result<(), Failure> {
        let who = ban.who.to_string();
        let sealed = self.0.sealer.seal(
            Kind::Ban,
            &Ban {
                who: who.clone(),
                until: ban.until.map_or(0, milliseconds),
                reason: ban.reason.as_ref().to_owned(),
            },
        );
        let version = version();
        let arguments = [who.as_bytes(), &sealed, version.as_bytes()];
        self.run(&self.0.ban, &arguments).await.map(drop)
    }

    /// Keeps it no more. Whether it was kept.
    ///
    /// # Errors
    /// Redis may still have it.
    pub async fn lift(&self, who: &Banned) -> Result<bool, Failure> {
        let (who, version) = (who.to_string(), version());
        let arguments = [who.as_bytes(), version.as_bytes()];
        self.run(&self.0.lift, &arguments).await
    }

    async fn run(&self, script: &Script, arguments: &[&[u8]]) -> Result<bool, Failure> {
        let names = self.0.cluster.names();
        let keys = [names.bans(), names.bans_version()];
        let keys = keys.each_ref().map(String::as_str);
        let link = self.0.cluster.link();
        let done: u8 = link.script(script, &keys, arguments).await?;
        Ok(done == 1)
    }

    /// Keeps a pod's copy as Redis has them, for ever.
    pub async fn follow(self, bans: Bans) {
        let mut lives = self.0.cluster.lives();
        let mut known = String::new();
        while lives.changed().await.is_ok() {
            loop {
                let version = lives.borrow_and_update().bans.clone();
                // Without a version Redis has lost them, or never had any.
                let is_lost = version.is_empty() && !bans.shared().is_empty();
                if version == known && !is_lost {
                    break;
                }
                let followed = if is_lost {
                    self.write_back(&bans).await
                } else {
                    self.read().await.map(|all| bans.share(all))
                };
                match followed {
                    Ok(()) => {
                        known = version;
                        break;
                    }
                    Err(failure) => {
                        tracing::debug!(%failure, "bans of other pods are not known yet");
                        sleep(jittered(PAUSE)).await;
                    }
                }
            }
        }
    }

    /// Redis has lost them: it gets them back, as this pod knows them.
    async fn write_back(&self, bans: &Bans) -> Result<(), Failure> {
        let shared = bans.shared();
        tracing::warn!(
            count = shared.len(),
            "Redis has lost the bans of all pods; it gets them back"
        );
        for ban in &shared {
            self.ban(ban).await?;
        }
        Ok(())
    }

    /// All that have not ended; the others are forgotten.
    async fn read(&self) -> Result<Vec<Listed>, Failure> {
        let key = self.0.cluster.names().bans();
        let link = self.0.cluster.link();
        let all: Vec<(String, Vec<u8>)> =
            link.command(&key, redis::cmd("HGETALL").arg(&key)).await?;
        let now = SystemTime::now();
        let mut bans = Vec::with_capacity(all.len());
        for (who, sealed) in all {
            let Some(ban) = self.open(&who, sealed.clone()) else {
                continue;
            };
            let is_over = |at: SystemTime| ban.until.is_some_and(|until| until <= at);
            if is_over(now - APART) {
                let arguments = [who.as_bytes(), &sealed];
                let _: u8 = link.script(&self.0.forget, &[&key], &arguments).await?;
            } else if !is_over(now) {
                bans.push(ban);
            }
        }
        Ok(bans)
    }

    fn open(&self, who: &str, sealed: Vec<u8>) -> Option<Listed> {
        let opened = self.0.sealer.open::<Ban>(Kind::Ban, &sealed.into());
        let ban = opened.ok().filter(|ban| ban.who == who);
        let banned = ban.as_ref().and_then(|ban| ban.who.parse().ok());
        let Some((ban, banned)) = ban.zip(banned) else {
            tracing::warn!(
                who,
                "what stands there in Redis is no ban of this cluster; it is passed over"
            );
            return None;
        };
        Some(Listed {
            who: banned,
            until: (ban.until > 0).then(|| UNIX_EPOCH + Duration::from_millis(ban.until)),
            reason: ban.reason.into(),
            of_file: false,
        })
    }
}

fn milliseconds(at: SystemTime) -> u64 {
    // 0 is never, and that is past.
    crate::clock::milliseconds(at).max(1)
}

/// One that nobody has had.
fn version() -> String {
    format!("{:032x}", fastrand::u128(..))
}
