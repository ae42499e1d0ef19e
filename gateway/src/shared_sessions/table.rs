//! What is written in Redis: each session beside the owner of its clientid (`ownership`), what waits in it in a list, and
//! for each life of a pod whose sessions it has, and how far it had heard of the logs.

use std::{sync::Arc, time::Duration};

use crate::{
    cluster::{Cluster, Names, Position},
    redis::{Failure, Link, Script},
    seal::Sealer,
};

/// Unless a later claim has written it. 2: what was written last is not what it was taken to be, and all is needed.
const SAVE: &str = r"
local by, last = redis.call('HGET', KEYS[1], 'session.claim'), redis.call('HGET', KEYS[1], 'session.write')
if by and tonumber(by) > tonumber(ARGV[1]) then return {0, '0'} end
if ARGV[5] == '' then
  redis.call('DEL', KEYS[2])
else
  if last ~= ARGV[5] then return {2, '0'} end
  redis.call('LTRIM', KEYS[2], ARGV[6], -1)
end
for i = 7, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('HSET', KEYS[1], 'session', ARGV[2], 'session.claim', ARGV[1], 'session.write', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local time = redis.call('TIME')
return {1, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))}
";

/// Unless a later claim has written it, or it is another one. Nobody with an earlier claim writes it again.
const FORGET: &str = r"
local by, last = redis.call('HGET', KEYS[1], 'session.claim'), redis.call('HGET', KEYS[1], 'session.write')
if by and tonumber(by) > tonumber(ARGV[1]) then return 0 end
if last and string.sub(last, 1, #ARGV[3]) ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[1], 'session', 'session.write')
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'session.claim', ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
";

/// That a life of a pod has a session of that client.
const LIST: &str = r"
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('HLEN', KEYS[1])
";

const LOAD: &str = r"
local found = redis.call('HMGET', KEYS[1], 'pod', 'claim', 'session')
return {found[1] or '', found[2] or '', found[3] or '', redis.call('LRANGE', KEYS[2], 0, -1)}
";

/// How far the pod had heard stands under no clientid.
const HEARD: &str = "";
/// Clientids that are read at a time.
const AT_ONCE: u32 = 500;

/// The table.
pub(super) struct Table {
    link: Link,
    names: Names,
    sealer: Arc<Sealer>,
    /// How long Redis keeps the sessions of a life of which it hears nothing more.
    keep: Duration,
    /// How long it keeps a session longer than that is needed.
    rest: Duration,
    save: Script,
    forget: Script,
    load: Script,
    list: Script,
}

/// What is saved of a session.
pub(super) struct Writing<'a> {
    pub(super) clientid: &'a str,
    pub(super) claim: u64,
    /// Sealed.
    pub(super) session: &'a [u8],
    pub(super) expiry: Duration,
    /// The name of this writing.
    pub(super) name: &'a str,
    /// That of the last one, and how many of the messages it left, the oldest, are gone; none to write all.
    pub(super) since: Option<(&'a str, u32)>,
    /// The others, sealed.
    pub(super) messages: &'a [Vec<u8>],
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// When, in milliseconds since 1970 by the clock of Redis.
    Done(u64),
    /// Redis has not got what it was taken to have.
    Differs,
    /// Another pod has it now.
    Lost,
}

/// What is there of a session.
pub(super) struct Found {
    /// Who has the clientid, and by which claim.
    pub(super) owner: (String, u64),
    /// Sealed; empty where there is none.
    pub(super) session: Vec<u8>,
    /// What waits, sealed.
    pub(super) messages: Vec<Vec<u8>>,
}

impl Table {
    pub(super) fn new(
        cluster: &Cluster,
        sealer: Arc<Sealer>,
        (keep, rest): (Duration, Duration),
    ) -> Self {
        Self {
            link: cluster.link().clone(),
            names: cluster.names().clone(),
            sealer,
            keep,
            rest,
            save: Script::new(SAVE),
            forget: Script::new(FORGET),
            load: Script::new(LOAD),
            list: Script::new(LIST),
        }
    }

    pub(super) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Keeps a session.
    pub(super) async fn save(&self, writing: &Writing<'_>) -> Result<Written, Failure> {
        let claim = writing.claim.to_string();
        let ttl = millis(writing.expiry + self.rest);
        let (last, gone) = writing.since.unwrap_or_default();
        let gone = gone.to_string();
        let first = [
            claim.as_bytes(),
            writing.session,
            ttl.as_bytes(),
            writing.name.as_bytes(),
            last.as_bytes(),
            gone.as_bytes(),
        ];
        let rest = writing.messages.iter().map(Vec::as_slice);
        let arguments: Vec<&[u8]> = first.into_iter().chain(rest).collect();
        let keys = self.keys(writing.clientid);
        let keys = keys.each_ref().map(String::as_str);
        let (done, time): (u8, String) = self.link.script(&self.save, &keys, &arguments).await?;
        Ok(match done {
            0 => Written::Lost,
            1 => Written::Done(time.parse().unwrap_or_default()),
            _ => Written::Differs,
        })
    }

    /// Keeps it no more, if its writings have names that begin like that.
    pub(super) async fn forget(
        &self,
        clientid: &str,
        claim: u64,
        name: &str,
    ) -> Result<(), Failure> {
        let (claim, rest) = (claim.to_string(), millis(self.rest));
        let arguments = [claim.as_bytes(), rest.as_bytes(), name.as_bytes()];
        let keys = self.keys(clientid);
        let keys = keys.each_ref().map(String::as_str);
        let forgotten = self.link.script(&self.forget, &keys, &arguments);
        forgotten.await.map(|_: u8| ())
    }

    /// What there is of it.
    pub(super) async fn load(&self, clientid: &str) -> Result<Found, Failure> {
        let keys = self.keys(clientid);
        let keys = keys.each_ref().map(String::as_str);
        let (pod, claim, session, messages): (String, String, _, _) =
            self.link.script(&self.load, &keys, &[]).await?;
        Ok(Found {
            owner: (pod, claim.parse().unwrap_or_default()),
            session,
            messages,
        })
    }

    /// This life of a pod has a session of that client.
    pub(super) async fn list(&self, life: &str, clientid: &str) -> Result<(), Failure> {
        self.write_list(life, clientid, b"1").await.map(drop)
    }

    /// All sessions of that life are kept as they were when its pod had heard so much. How many are listed.
    pub(super) async fn reach(&self, life: &str, heard: &Position) -> Result<usize, Failure> {
        let sealed = heard.seal(&self.sealer);
        let fields = self.write_list(life, HEARD, &sealed).await?;
        Ok(fields.saturating_sub(1))
    }

    async fn write_list(&self, life: &str, field: &str, value: &[u8]) -> Result<usize, Failure> {
        let (key, keep) = (self.names.sessions(life), millis(self.keep));
        let arguments = [field.as_bytes(), value, keep.as_bytes()];
        self.link.script(&self.list, &[&key], &arguments).await
    }

    /// It has none of it any more.
    pub(super) async fn unlist(&self, life: &str, clientid: &str) -> Result<(), Failure> {
        let key = self.names.sessions(life);
        let mut unlist = redis::cmd("HDEL");
        unlist.arg(&key).arg(clientid);
        self.link.command(&key, &unlist).await
    }

    /// Some of the clients whose sessions a life of a pod had, and where to go on; 0 where that was all.
    pub(super) async fn listed(
        &self,
        life: &str,
        cursor: u64,
    ) -> Result<(u64, Vec<String>), Failure> {
        let key = self.names.sessions(life);
        let mut scan = redis::cmd("HSCAN");
        scan.arg(&key).arg(cursor).arg("COUNT").arg(AT_ONCE);
        let (next, fields): (u64, Vec<(String, Vec<u8>)>) = self.link.command(&key, &scan).await?;
        let clientids = fields.into_iter().map(|(clientid, _)| clientid);
        Ok((next, clientids.filter(|each| each != HEARD).collect()))
    }

    /// Nothing is left of that life. Whoever has just found a session of it still learns how far it had heard.
    pub(super) async fn bury(&self, life: &str) -> Result<(), Failure> {
        let key = self.names.sessions(life);
        let mut expire = redis::cmd("PEXPIRE");
        expire.arg(&key).arg(millis(self.rest));
        self.link.command(&key, &expire).await
    }

    /// How much that was.
    pub(super) async fn reached(&self, life: &str) -> Result<Option<Position>, Failure> {
        let key = self.names.sessions(life);
        let mut read = redis::cmd("HGET");
        read.arg(&key).arg(HEARD);
        let sealed: Option<Vec<u8>> = self.link.command(&key, &read).await?;
        Ok(sealed.and_then(|sealed| Position::open(&self.sealer, &sealed.into())))
    }

    fn keys(&self, clientid: &str) -> [String; 2] {
        [
            self.names.client(clientid),
            self.names.session_messages(clientid),
        ]
    }
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}
