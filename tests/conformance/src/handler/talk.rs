//! One device of the script: what it has said, what must have come back, and what has.

use std::sync::Arc;

use proto::exproto::Message;

use super::{
    Stage,
    callback::Failure,
    gateway::{Gateway, message},
    ledger::{Entry, Life},
    new_conn,
};
use crate::{
    check::{Miss, ensure, fail},
    script::{Exchange, numbered},
    shown,
};

/// A connection of the played gateway that follows the script.
pub(super) struct Talk {
    stage: Stage,
    /// Its `conn`.
    pub(super) conn: String,
    /// The number of its device.
    pub(super) number: u32,
    expected: Vec<u8>,
}

impl Talk {
    /// OnSocketCreated for the next device.
    pub(super) async fn open(stage: &Stage) -> Result<Self, Miss> {
        Self::open_as(stage, stage.number()).await
    }

    /// The same for a device with that number.
    pub(super) async fn open_as(stage: &Stage, number: u32) -> Result<Self, Miss> {
        let talk = Self {
            stage: stage.clone(),
            conn: new_conn(),
            number,
            expected: Vec::new(),
        };
        talk.gateway().create(&talk.conn, number, 1).await?;
        Ok(talk)
    }

    /// Opens one for the next device, which logs in.
    pub(super) async fn login(stage: &Stage) -> Result<Self, Miss> {
        Self::login_as(stage, stage.number()).await
    }

    /// The same for a device with that number.
    pub(super) async fn login_as(stage: &Stage, number: u32) -> Result<Self, Miss> {
        let mut talk = Self::open_as(stage, number).await?;
        talk.log_in().await?;
        Ok(talk)
    }

    /// What the script has for the beginning.
    pub(super) async fn log_in(&mut self) -> Result<(), Miss> {
        let stage = self.stage.clone();
        for exchange in &stage.script.login {
            self.say(exchange).await?;
        }
        Ok(())
    }

    /// Logs in, and has all exchanges.
    pub(super) async fn whole(stage: &Stage) -> Result<Self, Miss> {
        let mut talk = Self::login(stage).await?;
        talk.exchange_all().await?;
        Ok(talk)
    }

    /// All exchanges, each in one piece.
    pub(super) async fn exchange_all(&mut self) -> Result<(), Miss> {
        let stage = self.stage.clone();
        for exchange in &stage.script.exchanges {
            self.say(exchange).await?;
        }
        Ok(())
    }

    /// One exchange in one piece.
    pub(super) async fn say(&mut self, exchange: &Exchange) -> Result<(), Miss> {
        self.receive(&exchange.send(self.number)).await?;
        self.expect(&exchange.reply(self.number)).await
    }

    /// The device has sent these bytes.
    pub(super) async fn receive(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.gateway().receive(&self.conn, bytes).await
    }

    /// Waits until all has come back, and this after it.
    pub(super) async fn expect(&mut self, reply: &[u8]) -> Result<(), Miss> {
        self.expected.extend_from_slice(reply);
        let done = self.gateway().ledger.until(|state| {
            let entry = state.connections.get(&self.conn)?;
            self.judge(entry).transpose()
        });
        if let Ok(judged) = tokio::time::timeout(self.stage.patience.deadline, done).await {
            return judged.map(drop);
        }
        let seen = self.entry(|entry| entry.sent.len());
        let missing = shown::bytes(&self.expected[seen.min(self.expected.len())..]);
        fail(format!("the device never got {missing}"))
    }

    /// Whether all is there; `None`: not yet.
    fn judge(&self, entry: &Entry) -> Result<Option<()>, Miss> {
        if let Some(failure) = &entry.failure {
            return fail(failure.as_str());
        }
        if let Some(difference) = shown::difference(&self.expected, &entry.sent) {
            return fail(format!("device {}: {difference}", self.number));
        }
        let more = entry.sent.get(self.expected.len()..);
        let more = more.filter(|more| !more.is_empty());
        if let Some(more) = more {
            let more = shown::bytes(more);
            return fail(format!(
                "device {} got more than its replies: {more}",
                self.number
            ));
        }
        Ok((entry.sent.len() == self.expected.len()).then_some(()))
    }

    /// OnSocketClosed; what the device got must be its replies, and no more.
    pub(super) async fn end(self, reason: &str) -> Result<(), Miss> {
        self.gateway().end(&self.conn, reason).await.ok();
        self.entry(|entry| self.judge(entry)).map(drop)
    }

    /// A message for its client, as the script has it, or one that no script knows.
    pub(super) fn message(&self, index: usize) -> (Message, Vec<u8>) {
        let deliveries = &self.stage.script.messages;
        if deliveries.is_empty() {
            let topic = format!("conformance/{}", self.number);
            let payload = format!("message {index}").into_bytes();
            return (
                message("conformance", &topic, 0, payload.into()),
                Vec::new(),
            );
        }
        let delivery = &deliveries[index % deliveries.len()];
        let (topic, payload) = (delivery.topic(self.number), delivery.payload(self.number));
        let message = message("conformance", &topic, 0, payload.into());
        (message, delivery.reply(self.number))
    }

    /// Who it must be after its login, if the script says so.
    pub(super) fn clientid(&self) -> Option<String> {
        let pattern = self.stage.script.clientid.as_deref();
        pattern.map(|pattern| numbered(pattern, self.number))
    }

    /// Waits until its OnSocketClosed is over.
    pub(super) async fn told(&self) -> Result<(), Miss> {
        let told = self.gateway().ledger.until(|state| {
            let entry = state.connections.get(&self.conn)?;
            (entry.life == Life::Told).then(|| entry.failure.clone())
        });
        let failure = self
            .stage
            .patience
            .wait("end of the connection", told)
            .await?;
        ensure!(failure.is_none(), "{}", failure.unwrap_or_default());
        Ok(())
    }

    /// Watches for calls after OnSocketClosed beyond those that were seen already; tells them.
    pub(super) async fn late_calls(&self, seen: usize) -> Vec<&'static str> {
        let late = self.gateway().ledger.until(|state| {
            let entry = state.connections.get(&self.conn)?;
            let late = entry.late_calls.get(seen..)?;
            (!late.is_empty()).then(|| late.to_vec())
        });
        self.stage.patience.watch(late).await.unwrap_or_default()
    }

    /// Looks at what is kept of it.
    pub(super) fn entry<T>(&self, look: impl FnOnce(&Entry) -> T) -> T {
        self.gateway().ledger.entry(&self.conn, |entry| look(entry))
    }

    pub(super) fn gateway(&self) -> &Arc<Gateway> {
        &self.stage.gateway
    }
}
