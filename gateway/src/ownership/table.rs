//! What is written in Redis: for each clientid the pod that has it, and its claim. The session of the client stands in the
//! same place (`shared_sessions`), and lasts as long.

use std::time::Duration;

use crate::{
    broker::others::Pod,
    cluster::{Cluster, Names},
    redis::{Failure, Link, Script},
};

const CLAIM: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local pod, old = redis.call('HGET', KEYS[1], 'pod'), redis.call('HGET', KEYS[1], 'claim')
local claim = string.format('%.0f', math.max(now, (tonumber(old) or 0) + 1))
redis.call('HSET', KEYS[1], 'pod', ARGV[1], 'claim', claim)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {claim, pod or '', redis.call('HGET', KEYS[1], 'session.write') or ''}
";

/// As long as nobody has claimed it since.
const INHERIT: &str = r"
local pod, old = redis.call('HGET', KEYS[1], 'pod'), redis.call('HGET', KEYS[1], 'claim')
if pod ~= ARGV[2] or old ~= ARGV[3] then return '' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claim = string.format('%.0f', math.max(now, tonumber(old) + 1))
redis.call('HSET', KEYS[1], 'pod', ARGV[1], 'claim', claim)
return claim
";

const RENEW: &str = r"
local pod, old = redis.call('HGET', KEYS[1], 'pod'), redis.call('HGET', KEYS[1], 'claim')
local known, claim = tonumber(old) or 0, tonumber(ARGV[2])
local former = ''
if pod and pod ~= ARGV[1] then
  if known > claim or (known == claim and pod > ARGV[1]) then return {'0', '', ''} end
  former = pod
end
claim = string.format('%.0f', math.max(known, claim))
redis.call('HSET', KEYS[1], 'pod', ARGV[1], 'claim', claim)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return {claim, former, redis.call('HGET', KEYS[1], 'session.write') or ''}
";

/// Who had a session leaves by which claim that ended, so that nobody who had it before writes it again.
const RELEASE: &str = r"
local pod, claim = redis.call('HGET', KEYS[1], 'pod'), redis.call('HGET', KEYS[1], 'claim')
if pod ~= ARGV[1] or claim ~= ARGV[2] or redis.call('HEXISTS', KEYS[1], 'session') == 1 then return 0 end
if redis.call('HEXISTS', KEYS[1], 'session.claim') == 1 then
  redis.call('HDEL', KEYS[1], 'pod', 'claim')
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
return 0
";

/// The table.
pub(super) struct Table {
    link: Link,
    names: Names,
    own: Pod,
    ttl: Duration,
    claim: Script,
    inherit: Script,
    renew: Script,
    release: Script,
}

/// What this pod has got.
pub(super) struct Claimed {
    /// The claim.
    pub(super) claim: u64,
    /// Which other pod had it.
    pub(super) former: Option<Pod>,
    /// What was written last of a session; empty where there is none.
    pub(super) written: String,
}

/// What Redis says of a claim of this pod.
pub(super) enum Renewed {
    /// It stands.
    Own {
        /// By which claim; it may be higher.
        claim: u64,
        /// Another pod had it by a lower one.
        former: Option<Pod>,
        /// What was written last of a session.
        written: String,
    },
    /// Another pod has a higher one.
    Lost,
}

impl Table {
    pub(super) fn new(cluster: &Cluster, own: Pod, ttl: Duration) -> Self {
        Self {
            link: cluster.link().clone(),
            names: cluster.names().clone(),
            own,
            ttl,
            claim: Script::new(CLAIM),
            inherit: Script::new(INHERIT),
            renew: Script::new(RENEW),
            release: Script::new(RELEASE),
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Makes this pod the one that has it.
    pub(super) async fn claim(&self, clientid: &str) -> Result<Claimed, Failure> {
        let ttl = self.ttl.as_millis().to_string();
        let arguments = [self.own.as_bytes(), ttl.as_bytes()];
        let key = self.names.client(clientid);
        let answer = self.link.script(&self.claim, &[&key], &arguments).await?;
        self.read(answer)
    }

    /// Makes this pod the one that has it, if that one still has it by that claim. The new one.
    pub(super) async fn inherit(
        &self,
        clientid: &str,
        pod: &str,
        claim: u64,
    ) -> Result<Option<u64>, Failure> {
        let claim = claim.to_string();
        let arguments = [self.own.as_bytes(), pod.as_bytes(), claim.as_bytes()];
        let key = self.names.client(clientid);
        let answer: String = self.link.script(&self.inherit, &[&key], &arguments).await?;
        match &*answer {
            "" => Ok(None),
            claim => number(claim).map(Some),
        }
    }

    /// Redis may have forgotten that this pod has it, or another pod may have got it. A session of it may outlive its
    /// client by so long.
    pub(super) async fn renew(
        &self,
        clientid: &str,
        claim: u64,
        expiry: Duration,
    ) -> Result<Renewed, Failure> {
        let (claim, ttl) = (
            claim.to_string(),
            (self.ttl + expiry).as_millis().to_string(),
        );
        let arguments = [self.own.as_bytes(), claim.as_bytes(), ttl.as_bytes()];
        let keys = [
            self.names.client(clientid),
            self.names.session_messages(clientid),
        ];
        let keys = keys.each_ref().map(String::as_str);
        let answer = self.link.script(&self.renew, &keys, &arguments).await?;
        let Claimed {
            claim,
            former,
            written,
        } = self.read(answer)?;
        Ok(match claim {
            0 => Renewed::Lost,
            claim => Renewed::Own {
                claim,
                former,
                written,
            },
        })
    }

    /// This pod has it no more, if it still had it by that claim.
    pub(super) async fn release(&self, clientid: &str, claim: u64) -> Result<(), Failure> {
        let claim = claim.to_string();
        let ttl = self.ttl.as_millis().to_string();
        let arguments = [self.own.as_bytes(), claim.as_bytes(), ttl.as_bytes()];
        let key = self.names.client(clientid);
        self.link
            .script(&self.release, &[&key], &arguments)
            .await
            .map(|_: u8| ())
    }

    fn read(&self, (claim, former, written): (String, String, String)) -> Result<Claimed, Failure> {
        let is_another = !former.is_empty() && *former != *self.own;
        Ok(Claimed {
            claim: number(&claim)?,
            former: is_another.then(|| former.into()),
            written,
        })
    }
}

fn number(claim: &str) -> Result<u64, Failure> {
    let number = claim.parse();
    number.map_err(|_| Failure::Unexpected(format!("\"{claim}\" is no claim").into()))
}
