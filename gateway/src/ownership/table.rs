//! What is written in Redis: for each clientid the pod that has it, and its claim.

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
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {claim, pod or ''}
";

const RENEW: &str = r"
local pod, old = redis.call('HGET', KEYS[1], 'pod'), redis.call('HGET', KEYS[1], 'claim')
local known, claim = tonumber(old) or 0, tonumber(ARGV[2])
local former = ''
if pod and pod ~= ARGV[1] then
  if known > claim or (known == claim and pod > ARGV[1]) then return {'0', ''} end
  former = pod
end
claim = string.format('%.0f', math.max(known, claim))
redis.call('HSET', KEYS[1], 'pod', ARGV[1], 'claim', claim)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {claim, former}
";

const RELEASE: &str = r"
local pod, claim = redis.call('HGET', KEYS[1], 'pod'), redis.call('HGET', KEYS[1], 'claim')
if pod == ARGV[1] and claim == ARGV[2] then redis.call('DEL', KEYS[1]) end
return 0
";

/// The table.
pub(super) struct Table {
    link: Link,
    names: Names,
    own: Pod,
    ttl: String,
    claim: Script,
    renew: Script,
    release: Script,
}

/// What Redis says of a claim of this pod.
pub(super) enum Renewed {
    /// It stands.
    Own {
        /// By which claim; it may be higher.
        claim: u64,
        /// Another pod had it by a lower one.
        former: Option<Pod>,
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
            ttl: ttl.as_millis().to_string(),
            claim: Script::new(CLAIM),
            renew: Script::new(RENEW),
            release: Script::new(RELEASE),
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Makes this pod the one that has it. The claim, and which other pod had it.
    pub(super) async fn claim(&self, clientid: &str) -> Result<(u64, Option<Pod>), Failure> {
        let arguments = [self.own.as_bytes(), self.ttl.as_bytes()];
        let answer = self.run(&self.claim, clientid, &arguments).await?;
        self.read(answer)
    }

    /// Redis may have forgotten that this pod has it, or another pod may have got it.
    pub(super) async fn renew(&self, clientid: &str, claim: u64) -> Result<Renewed, Failure> {
        let claim = claim.to_string();
        let arguments = [self.own.as_bytes(), claim.as_bytes(), self.ttl.as_bytes()];
        let answer = self.run(&self.renew, clientid, &arguments).await?;
        let (claim, former) = self.read(answer)?;
        Ok(match claim {
            0 => Renewed::Lost,
            claim => Renewed::Own { claim, former },
        })
    }

    /// This pod has it no more, if it still had it by that claim.
    pub(super) async fn release(&self, clientid: &str, claim: u64) -> Result<(), Failure> {
        let claim = claim.to_string();
        let arguments = [self.own.as_bytes(), claim.as_bytes()];
        let key = self.names.client(clientid);
        self.link
            .script(&self.release, &[&key], &arguments)
            .await
            .map(|_: u8| ())
    }

    async fn run(
        &self,
        script: &Script,
        clientid: &str,
        arguments: &[&[u8]],
    ) -> Result<(String, String), Failure> {
        let key = self.names.client(clientid);
        self.link.script(script, &[&key], arguments).await
    }

    fn read(&self, (claim, former): (String, String)) -> Result<(u64, Option<Pod>), Failure> {
        let claim = claim
            .parse()
            .map_err(|_| Failure::Unexpected(format!("\"{claim}\" is no claim").into()))?;
        let is_another = !former.is_empty() && *former != *self.own;
        Ok((claim, is_another.then(|| former.into())))
    }
}
