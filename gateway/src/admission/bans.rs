//! Who is kept out for a time: networks and clients, named by the file, at run time, of all pods, or by their own failures.

/// What is looked up.
mod table;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Instant, SystemTime},
};

use config::{Banned, Until};
use parking_lot::RwLock;
use tokio::sync::watch;

use self::table::{End, Table};
use super::{
    bucket::{Clock, Pace},
    sources::{PerSource, Source, Sources, WhenFull},
};

const TOO_MANY_FAILURES: &str = "too many failed handshakes or Authenticates";

/// All bans, shared by all listeners. Where nobody is banned, asking costs one look at a number.
#[derive(Clone)]
pub struct Bans(Arc<Inner>);

struct Inner {
    /// How many bans there are, ended ones among them.
    count: AtomicUsize,
    bans: RwLock<All>,
    clock: Clock,
    failures: Sources,
    news: watch::Sender<u64>,
}

struct All {
    of_file: Table,
    at_run_time: Table,
    /// Made in any pod, and known to all of them.
    of_cluster: Table,
    failures: Failures,
    most: usize,
}

/// When failures lead to a ban, and to how long a one.
#[derive(Clone, Copy)]
struct Failures {
    pace: Option<Pace>,
    duration: std::time::Duration,
}

/// One ban that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Whom it names.
    pub who: Banned,
    /// When it ends; `None` is never.
    pub until: Option<SystemTime>,
    /// Why; may be empty.
    pub reason: Arc<str>,
    /// Whether it stands in the file.
    pub of_file: bool,
}

impl Bans {
    /// Those of the file.
    #[must_use]
    pub fn new(config: &config::Bans) -> Self {
        let bans = Self(Arc::new(Inner {
            count: AtomicUsize::new(0),
            bans: RwLock::new(All {
                of_file: Table::default(),
                at_run_time: Table::default(),
                of_cluster: Table::default(),
                failures: Failures {
                    pace: None,
                    duration: config.duration,
                },
                most: 0,
            }),
            clock: Clock::new(),
            failures: Sources::new(WhenFull::LetPass),
            news: watch::Sender::new(0),
        }));
        bans.configure(config);
        bans
    }

    /// Another file: exactly the bans that came from the old one are replaced.
    pub fn configure(&self, config: &config::Bans) {
        let mut of_file = Table::default();
        for ban in &config.list {
            let until = ban.until.map(|Until(until)| until);
            of_file.insert(ban.who.clone(), until.into(), ban.reason.as_str().into());
        }
        let pace = config.failure_rate.map(|rate| Pace::new(rate, 1));
        self.change(SystemTime::now(), |all| {
            all.failures = Failures {
                pace,
                duration: config.duration,
            };
            all.most = config.max_entries as usize;
            all.of_file = of_file;
        });
        if pace.is_none() {
            self.0.failures.forget_idle();
        }
        if !config.list.is_empty() {
            self.0.news.send_modify(|count| *count += 1);
        }
    }

    /// Bans at run time, `until: None` for good. If that one is banned at run time already, this ban counts. If there
    /// are as many as there may be, the one that ends first gives way.
    pub fn ban(&self, who: Banned, until: Option<SystemTime>, reason: &str) {
        let now = SystemTime::now();
        self.change(now, |all| all.ban(who, until.into(), reason, now));
        self.0.news.send_modify(|count| *count += 1);
    }

    /// The bans of all pods, in place of those that were known. Of more than there may be, those that end last.
    pub fn share(&self, bans: Vec<Listed>) {
        let mut of_cluster = Table::default();
        for Listed {
            who, until, reason, ..
        } in bans
        {
            of_cluster.insert(who, until.into(), reason);
        }
        self.change(SystemTime::now(), |all| all.of_cluster = of_cluster);
        self.0.news.send_modify(|count| *count += 1);
    }

    /// Those of all pods that have not ended, as far as this one knows.
    #[must_use]
    pub fn shared(&self) -> Vec<Listed> {
        let all = self.0.bans.read();
        listed(&all.of_cluster, false)
    }

    /// As `ban`, and all pods are told of it.
    pub fn ban_in_cluster(&self, who: Banned, until: Option<SystemTime>, reason: &str) {
        self.change(SystemTime::now(), |all| {
            all.of_cluster.insert(who, until.into(), reason.into());
        });
        self.0.news.send_modify(|count| *count += 1);
    }

    /// Lifts the bans on exactly that one. One of the file comes back with the next reload. Whether there was one.
    #[must_use]
    pub fn lift(&self, who: &Banned) -> bool {
        if let Banned::Network(network) = who {
            self.0.failures.forget(network.addr().into());
        }
        self.change(SystemTime::now(), |all| {
            all.of_file.remove(who) | all.at_run_time.remove(who) | all.of_cluster.remove(who)
        })
    }

    /// All bans that have not ended: those of the file, those of run time, those of all pods, each in the order of their
    /// ends.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let all = self.0.bans.read();
        let mut bans = listed(&all.of_file, true);
        bans.extend(listed(&all.at_run_time, false));
        bans.extend(listed(&all.of_cluster, false));
        bans
    }

    /// The reason, if that device is banned.
    #[must_use]
    pub fn is_banned_ip(&self, device: IpAddr) -> Option<Arc<str>> {
        self.covers(Some(device), None)
    }

    /// The reason, if that client is banned.
    #[must_use]
    pub fn is_banned_client(&self, clientid: &str) -> Option<Arc<str>> {
        self.covers(None, Some(clientid))
    }

    /// The reason, if a ban names any of the two.
    #[must_use]
    pub fn covers(&self, device: Option<IpAddr>, clientid: Option<&str>) -> Option<Arc<str>> {
        if self.0.count.load(Relaxed) == 0 {
            return None;
        }
        let all = self.0.bans.read();
        all.find(device, clientid, SystemTime::now()).cloned()
    }

    /// Changes when there are new bans: then open connections may be [covered](Bans::covers) that were not before.
    /// Many bans may come in a short time, so it is best not to look through the connections for each of them.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    /// A handshake or an Authenticate of that device failed. Whether it has just been banned for it.
    #[must_use]
    pub fn failed(&self, device: IpAddr) -> bool {
        self.failed_at(device, Instant::now(), SystemTime::now())
    }

    fn failed_at(&self, device: IpAddr, now: Instant, today: SystemTime) -> bool {
        let Failures { pace, duration } = self.0.bans.read().failures;
        let source = Source::from(device);
        let limit = PerSource { most: None, pace };
        if self
            .0
            .failures
            .admit(source, &limit, self.0.clock.at(now))
            .is_ok()
        {
            return false;
        }
        let is_new = self.change(today, |all| {
            if all.find(Some(device.to_canonical()), None, today).is_some() {
                return false;
            }
            let until = today.checked_add(duration);
            all.ban(
                Banned::Network(source.into()),
                until.into(),
                TOO_MANY_FAILURES,
                today,
            );
            true
        });
        if is_new {
            // It starts anew when the ban ends.
            self.0.failures.forget(source);
            self.0.news.send_modify(|count| *count += 1);
        }
        is_new
    }

    fn change<R>(&self, now: SystemTime, change: impl FnOnce(&mut All) -> R) -> R {
        let mut all = self.0.bans.write();
        let result = change(&mut all);
        let most = all.most;
        all.at_run_time.trim(most, now);
        all.of_cluster.trim(most, now);
        let count = all.of_file.len() + all.at_run_time.len() + all.of_cluster.len();
        self.0.count.store(count, Relaxed);
        result
    }
}

/// The bans of a table that have not ended.
fn listed(table: &Table, of_file: bool) -> Vec<Listed> {
    let bans = table.iter(SystemTime::now());
    let bans = bans.map(|(who, end, reason)| Listed {
        who: who.clone(),
        until: end.until(),
        reason: reason.clone(),
        of_file,
    });
    bans.collect()
}

impl All {
    fn ban(&mut self, who: Banned, end: End, reason: &str, now: SystemTime) {
        let room = self
            .most
            .saturating_sub(usize::from(!self.at_run_time.contains(&who)));
        self.at_run_time.trim(room, now);
        self.at_run_time.insert(who, end, reason.into());
    }

    fn find(
        &self,
        device: Option<IpAddr>,
        clientid: Option<&str>,
        now: SystemTime,
    ) -> Option<&Arc<str>> {
        let device = device.map(|device| device.to_canonical());
        let tables = [&self.of_file, &self.at_run_time, &self.of_cluster];
        tables.into_iter().find_map(|table| {
            let by_device = device.and_then(|device| table.find_ip(device, now));
            by_device.or_else(|| table.find_client(clientid?, now))
        })
    }
}

#[cfg(test)]
mod tests;
