//! What is looked at right after each login, before a server is used: that it is new enough, is what the settings say,
//! lets us do what we need, and serves no other cluster of pods under the same names.

use redis::{Cmd, ServerErrorKind, Value};
use tokio::sync::watch;

use super::{
    Problem,
    access::{Access, Address, Greeting, ended, unexpected},
    names::Names,
    wire::Wire,
};
use config::RedisMode;

/// What the gateway needs of an access list, beside the keys and channels below its prefix: `PING`, `MULTI`, `DISCARD`,
/// with another database than 0 `SELECT`, and these. Each stands with arguments that it takes; `{key}` and `{channel}`
/// are filled in. Nothing of it is carried out to find out: it is queued in a transaction that is thrown away.
pub const COMMANDS: &[&str] = &[
    "GET {key}",
    "SET {key} value",
    "DEL {key}",
    "PEXPIRE {key} 1",
    "PTTL {key}",
    "HSET {key} field value",
    "HGET {key} field",
    "HGETALL {key}",
    "HDEL {key} field",
    "HEXISTS {key} field",
    "HMGET {key} field",
    "HSCAN {key} 0",
    "LLEN {key}",
    "LRANGE {key} 0 -1",
    "LTRIM {key} 0 -1",
    "RPUSH {key} value",
    "XADD {key} * field value",
    "XRANGE {key} - +",
    "XREVRANGE {key} - +",
    "XTRIM {key} MAXLEN 1",
    "XLEN {key}",
    "SADD {key} member",
    "SREM {key} member",
    "SMEMBERS {key}",
    "ZADD {key} 1 member",
    "ZREM {key} member",
    "ZSCORE {key} member",
    "ZRANGEBYSCORE {key} 1 2",
    "TIME",
    "EVAL script 1 {key}",
    "EVALSHA digest 1 {key}",
];
/// The same of one server, and of one that sentinels look after.
pub const COMMANDS_OF_ONE: &[&str] = &[
    "PUBLISH {channel} payload",
    "SUBSCRIBE {channel}",
    "UNSUBSCRIBE {channel}",
];
/// The same of a cluster.
pub const COMMANDS_OF_A_CLUSTER: &[&str] = &[
    "SPUBLISH {channel} payload",
    "SSUBSCRIBE {channel}",
    "SUNSUBSCRIBE {channel}",
    "CLUSTER SLOTS",
    "CLUSTER NODES",
];

/// The oldest version that is good enough.
const OLDEST: (u32, u32) = (7, 0);

/// A server on trial.
pub(super) struct Trial<'a> {
    pub(super) wire: &'a mut Wire,
    pub(super) address: &'a Address,
    pub(super) access: &'a Access,
    pub(super) names: &'a Names,
    pub(super) mode: RedisMode,
    pub(super) database: u16,
    /// Whether it was seen that the names are ours.
    pub(super) identified: &'a watch::Sender<bool>,
}

impl Trial<'_> {
    /// All of it, for a connection that takes commands.
    pub(super) async fn pass(&mut self, greeting: &Greeting) -> Result<(), Problem> {
        self.kind(greeting)?;
        if self.database != 0 {
            let mut select = redis::cmd("SELECT");
            match self.ask(select.arg(self.database)).await? {
                Value::Okay => {}
                other => return Err(self.refused(&other, "select")),
            }
        }
        self.access_list().await?;
        self.identity().await
    }

    /// What the greeting tells.
    pub(super) fn kind(&self, greeting: &Greeting) -> Result<(), Problem> {
        let address = || self.address.text();
        if !is_new_enough(&greeting.version) {
            return Err(Problem::TooOld {
                address: address(),
                found: greeting.version.as_str().into(),
            });
        }
        let what = match (self.mode, greeting.mode.as_str()) {
            (RedisMode::Cluster, "cluster") | (_, "standalone" | "") => None,
            (_, "cluster") => Some("is a node of a cluster; write redis.mode: cluster"),
            (_, "sentinel") => {
                Some("is a sentinel; write redis.mode: sentinel, and its address in redis.urls")
            }
            _ => None,
        };
        let what = match (self.mode, greeting.mode.as_str()) {
            (RedisMode::Cluster, "standalone") => {
                Some("is no node of a cluster; write redis.mode: standalone or sentinel")
            }
            _ => what,
        };
        if let Some(what) = what {
            let address = address();
            return Err(Problem::Mode { address, what });
        }
        if matches!(greeting.role.as_str(), "replica" | "slave") {
            return Err(Problem::Replica { address: address() });
        }
        Ok(())
    }

    /// Redis checks access when a command is queued.
    async fn access_list(&mut self) -> Result<(), Problem> {
        let mut missing = Vec::new();
        match self.ask(&redis::cmd("MULTI")).await? {
            Value::Okay => {}
            other => return Err(self.refused(&other, "multi")),
        }
        let more = match self.mode {
            RedisMode::Cluster => COMMANDS_OF_A_CLUSTER,
            RedisMode::Standalone | RedisMode::Sentinel => COMMANDS_OF_ONE,
        };
        let samples = || COMMANDS.iter().chain(more);
        for sample in samples() {
            self.wire
                .send(&self.names.sample(sample).get_packed_command());
        }
        for sample in samples() {
            let answer = self.wire.answer().await;
            let answer = answer.map_err(|error| ended(self.address, &error))?;
            if let Value::ServerError(error) = &answer
                && error.kind() == Some(ServerErrorKind::NoPerm)
            {
                let text = error.details().unwrap_or_default();
                missing.push(forbidden(sample, text, self.names));
            }
        }
        match self.ask(&redis::cmd("DISCARD")).await? {
            Value::Okay => {}
            other => return Err(self.refused(&other, "discard")),
        }
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.forbidden(&missing))
    }

    fn forbidden(&self, missing: &[String]) -> Problem {
        Problem::Forbidden {
            address: self.address.text(),
            missing: missing.join(" ").into(),
            remedy: format!("ACL SETUSER {} {}", self.access.user(), missing.join(" ")).into(),
        }
    }

    fn refused(&self, answer: &Value, command: &str) -> Problem {
        match answer {
            Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoPerm) => {
                self.forbidden(&[format!("+{command}")])
            }
            other => unexpected(self.address, other),
        }
    }

    /// Whether the names are ours: the first pod leaves a fingerprint of its key there.
    async fn identity(&mut self) -> Result<(), Problem> {
        let key = self.names.identity();
        // Not by one SET with NX and GET: a server that is full still tells whose it is.
        let mut found = self.ask(redis::cmd("GET").arg(&key)).await?;
        if found == Value::Nil {
            let mut leave = redis::cmd("SET");
            leave.arg(&key).arg(self.names.fingerprint()).arg("NX");
            let left = self.ask(&leave).await?;
            found = self.ask(redis::cmd("GET").arg(&key)).await?;
            if found == Value::Nil {
                found = left;
            }
        }
        match found {
            Value::BulkString(theirs) if theirs == self.names.fingerprint().as_bytes() => {
                self.identified.send_replace(true);
                Ok(())
            }
            Value::BulkString(_) => {
                self.identified.send_replace(false);
                Err(Problem::Foreign {
                    prefix: self.names.prefix().into(),
                    key: key.into(),
                })
            }
            // Another node of the cluster has the key, and is asked for it.
            Value::ServerError(error)
                if matches!(
                    error.kind(),
                    Some(ServerErrorKind::Moved | ServerErrorKind::Ask)
                ) =>
            {
                Ok(())
            }
            // It cannot say now; it was ours before.
            _ if *self.identified.borrow() => Ok(()),
            other => Err(unexpected(self.address, &other)),
        }
    }

    async fn ask(&mut self, question: &Cmd) -> Result<Value, Problem> {
        let answer = self.wire.ask(question).await;
        answer.map_err(|error| ended(self.address, &error))
    }
}

/// What is missing, as an access list would grant it.
fn forbidden(sample: &str, text: &str, names: &Names) -> String {
    let mut words = sample.split(' ');
    let command = words.next().unwrap_or_default().to_lowercase();
    if text.contains("channel") {
        format!("&{}*", names.prefix())
    } else if text.contains("key") {
        format!("~{}*", names.prefix())
    } else if command == "cluster" {
        format!(
            "+cluster|{}",
            words.next().unwrap_or_default().to_lowercase()
        )
    } else {
        format!("+{command}")
    }
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
        (Some(Ok(major)), _) => major > OLDEST.0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for version in ["7.0.0", "7.0", "7.2.4", "8.0.1", "10.0.0", "255.255.255"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["6.2.14", "6", "0.0.1", "", "unstable"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }

    #[test]
    fn what_is_missing_is_said_as_it_is_granted() {
        let names = Names::new("p:", "c", "x".into());
        let run = "this user has no permissions to run the 'xadd' command";
        assert_eq!(forbidden("XADD {key} * f v", run, &names), "+xadd");
        let run = "User a has no permissions to run the 'cluster|slots' command";
        assert_eq!(forbidden("CLUSTER SLOTS", run, &names), "+cluster|slots");
        let keys = "this user has no permissions to access one of the keys used as arguments";
        assert_eq!(forbidden("GET {key}", keys, &names), "~p:c:*");
        let channels =
            "this user has no permissions to access one of the channels used as arguments";
        assert_eq!(forbidden("PUBLISH {channel} x", channels, &names), "&p:c:*");
    }
}
