//! Sentinels say which server is the master. They are asked every second, one after another as long as one answers; an
//! answer of an older epoch than one seen before does not count.

use std::{sync::Arc, time::Duration};

use redis::{FromRedisValue as _, Value};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Problem,
    access::{Access, Address, ended, unexpected},
    shared::Shared,
    wire::Wire,
};
use crate::backoff::jittered;

/// How often they are asked.
const LOOK: Duration = Duration::from_secs(1);
/// How soon after something went wrong.
const SOON: Duration = Duration::from_millis(100);

pub(super) struct Sentinels {
    pub(super) shared: Arc<Shared>,
    pub(super) access: Arc<Access>,
    pub(super) seeds: Vec<Address>,
    /// The master's name.
    pub(super) name: String,
    /// Where it is.
    pub(super) says: watch::Sender<Option<Address>>,
}

impl Sentinels {
    /// Follows the master, until the link ends.
    pub(super) async fn follow(mut self) {
        let mut open: Option<(Wire, Address)> = None;
        let (mut newest, mut said) = (0, None);
        fastrand::shuffle(&mut self.seeds);
        loop {
            match self.look(&mut open).await {
                Ok((address, epoch)) => {
                    said = None;
                    if epoch >= newest {
                        newest = epoch;
                        self.found(address);
                    } else {
                        // Who knows less than others is not asked next.
                        self.turn(&mut open);
                    }
                }
                Err(problem) => {
                    if said.as_ref() != Some(&problem) {
                        tracing::warn!(%problem, "no sentinel says where the Redis master is");
                        said = Some(problem.clone());
                    }
                    if self.says.borrow().is_none() {
                        self.shared.trouble(Some(&problem));
                    }
                }
            }
            tokio::select! {
                () = self.shared.refresh.notified() => {
                    sleep(jittered(SOON)).await;
                    self.turn(&mut open);
                }
                () = sleep(LOOK) => {}
            }
        }
    }

    fn found(&self, address: Address) {
        self.says.send_if_modified(|now| {
            let changed = now.as_ref() != Some(&address);
            if changed {
                tracing::info!(master = %address, "the Redis master is there");
                *now = Some(address);
            }
            changed
        });
        if self.shared.map.load().trouble.is_some() {
            self.shared.trouble(None);
        }
    }

    fn turn(&mut self, open: &mut Option<(Wire, Address)>) {
        *open = None;
        self.seeds.rotate_left(1);
    }

    /// Where the first one that answers sees the master, and since which epoch.
    async fn look(
        &mut self,
        open: &mut Option<(Wire, Address)>,
    ) -> Result<(Address, u64), Problem> {
        let mut last = Problem::New;
        for _ in 0..=self.seeds.len() {
            match self.ask(open).await {
                Ok(found) => return Ok(found),
                Err(problem) => last = problem,
            }
            self.turn(open);
        }
        Err(last)
    }

    async fn ask(&self, open: &mut Option<(Wire, Address)>) -> Result<(Address, u64), Problem> {
        let address = self.seeds[0].clone();
        if open.is_none() {
            let (wire, greeting) = self.access.open(&address).await?;
            if !matches!(greeting.mode.as_str(), "sentinel" | "") {
                return Err(Problem::Mode {
                    address: address.text(),
                    what: "is no sentinel; write redis.mode: standalone or cluster, or the sentinels' addresses",
                });
            }
            *open = Some((wire, address));
        }
        let (wire, address) = open.as_mut().expect("it was just opened");
        let asked = async {
            let mut where_is = redis::cmd("SENTINEL");
            where_is.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
            let place = wire.ask(&where_is).await?;
            let mut what_is = redis::cmd("SENTINEL");
            what_is.arg("MASTER").arg(&self.name);
            Ok((place, wire.ask(&what_is).await?))
        };
        let answers = timeout(self.shared.timeout, asked).await;
        let answers = answers.unwrap_or_else(|elapsed| Err(elapsed.into()));
        let (place, facts) = answers.map_err(|error| ended(address, &error))?;
        if place == Value::Nil {
            return Err(Problem::Lost {
                address: address.text(),
                what: format!(
                    "no master is called {:?}; check redis.sentinel.master",
                    self.name
                )
                .into(),
            });
        }
        let Ok((host, port)) = <(String, u16)>::from_redis_value_ref(&place) else {
            return Err(unexpected(address, &place));
        };
        Ok((Address::new(&host, port), epoch(&facts)))
    }
}

fn epoch(facts: &Value) -> u64 {
    let Value::Map(facts) = facts else { return 0 };
    let epoch = facts.iter().find_map(|(name, value)| {
        let name = String::from_redis_value_ref(name).ok()?;
        let value = String::from_redis_value_ref(value).ok()?;
        (name == "config-epoch").then(|| value.parse().ok())?
    });
    epoch.unwrap_or(0)
}
