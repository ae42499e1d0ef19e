//! A handler that fails, and many devices at once.

use std::time::Duration;

use tokio::task::JoinSet;

use super::super::{
    Stage,
    device::{Device, connect},
    handler::{Line, Manner},
};
use crate::{
    check::{Check, Miss, Verdict, ensure, fail},
    shown,
};

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::new(
            "handler-error",
            "a callback that is answered by an error closes the connection",
            "proto: ConnectionUnaryHandler; exproto.md 2.3; handlers.md: when things go wrong",
            &["created-first"],
            |stage| Box::pin(handler_error(stage)),
        ),
        Check::new(
            "handler-deadline",
            "a callback that is not answered closes the connection after the gateway's deadline",
            "design.md 3: deadlines on every callback; handlers.md: handler_timeout",
            &["created-first"],
            |stage| Box::pin(handler_deadline(stage)),
        ),
        Check::new(
            "storm",
            "many devices at once each have a conn of their own, their own bytes and replies, and one end",
            "exproto.md 2.1, 2.2, 2.9",
            &["send-inside", "closed-last"],
            |stage| Box::pin(storm(stage)),
        ),
    ]
}

async fn handler_error(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    device.answer(Manner::Failing);
    device.write(b"x").await?;
    device.is_closed(Duration::ZERO).await?;
    if stage.dialect.ours("").is_ok() {
        let reason = device.closed().await?;
        ensure!(
            reason == "handler_error",
            "the reason is {reason:?}, and not \"handler_error\""
        );
    }
    Ok(String::new())
}

async fn handler_deadline(stage: &Stage) -> Verdict {
    stage.dialect.ours("callbacks have no deadline")?;
    let mut device = Device::connect(stage).await?;
    device.answer(Manner::Held);
    device.write(b"no answer").await?;
    let closed = device.is_closed(stage.handler_deadline).await;
    device.answer(Manner::Plain);
    closed?;
    let reason = device.closed().await?;
    ensure!(
        reason == "handler_timeout",
        "the reason is {reason:?}, and not \"handler_timeout\""
    );
    Ok(format!("--handler-deadline {:?}", stage.handler_deadline))
}

async fn storm(stage: &Stage) -> Verdict {
    stage.heard.write(|heard| heard.next = Manner::Echo);
    let seen = weather(stage).await;
    stage.heard.write(|heard| {
        heard.next = Manner::Plain;
        for line in heard.connections.values_mut() {
            line.claimed = true;
        }
    });
    seen
}

async fn weather(stage: &Stage) -> Verdict {
    let tokens: Vec<String> = (0..stage.connections)
        .map(|_| stage.name("storm"))
        .collect();
    let mut devices = JoinSet::new();
    for token in tokens.clone() {
        let stage = stage.clone();
        devices.spawn(async move { echoes(&stage, token.as_bytes()).await });
    }
    let mut misses = Vec::new();
    while let Some(ended) = devices.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(Miss::Failed(seen) | Miss::Skipped(seen))) => misses.push(seen),
            Err(error) => misses.push(error.to_string()),
        }
    }
    if let Some(first) = misses.first() {
        let (bad, all) = (misses.len(), stage.connections);
        return fail(format!(
            "{bad} of {all} devices were not served well; one of them: {first}"
        ));
    }
    for token in &tokens {
        ended_once(stage, token).await?;
    }
    Ok(format!("{} devices at once", stage.connections))
}

/// A device that says who it is, hears that again, and leaves.
async fn echoes(stage: &Stage, token: &[u8]) -> Result<(), Miss> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = connect(stage).await?;
    let mut echo = vec![0; token.len()];
    let conversation = async {
        socket.write_all(token).await?;
        socket.read_exact(&mut echo).await
    };
    match stage.patience.wait("echo", conversation).await? {
        Err(error) => fail(format!("its socket: {error}")),
        Ok(_) => match shown::difference(token, &echo) {
            Some(difference) => fail(difference),
            None => Ok(()),
        },
    }
}

/// One connection has had exactly these bytes, and has ended.
async fn ended_once(stage: &Stage, token: &str) -> Result<(), Miss> {
    let is_its = |line: &&Line| line.bytes == token.as_bytes();
    let ended = stage.heard.until(|heard| {
        let line = heard.connections.values().find(is_its)?;
        line.closed().map(|_| line.methods())
    });
    let methods = stage
        .patience
        .wait("OnSocketClosed of each device of the storm", ended)
        .await?;
    let created = methods
        .iter()
        .filter(|each| **each == "OnSocketCreated")
        .count();
    let closed = methods
        .iter()
        .filter(|each| **each == "OnSocketClosed")
        .count();
    ensure!(
        created == 1 && closed == 1,
        "the callbacks of a device of the storm were {methods:?}"
    );
    Ok(())
}
