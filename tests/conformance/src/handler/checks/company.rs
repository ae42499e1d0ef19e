//! Many devices at once, slow ones, and calls that are refused.

use proto::exproto::ResultCode;
use tokio::task::JoinSet;

use super::super::{Stage, talk::Talk};
use crate::check::{Check, Miss, Verdict, fail, skip};

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::new(
            "storm",
            "many devices at once each get their own replies, and nobody else's",
            "exproto.md 1: conn names the connection in every callback and call",
            &["exchanges"],
            |stage| Box::pin(storm(stage)),
        ),
        Check::new(
            "slow-device",
            "a device that takes no bytes, so that Send is not answered, holds up no other device",
            "proto: Send waits for room while the device reads too slowly",
            &["exchanges"],
            |stage| Box::pin(slow_device(stage)),
        ),
        Check::new(
            "refused-send",
            "after a Send that is answered by another code than SUCCESS, other devices are served",
            "proto: CodeResponse; exproto.md 2.4",
            &["exchanges"],
            |stage| Box::pin(refused_send(stage)),
        ),
    ]
}

async fn storm(stage: &Stage) -> Verdict {
    let mut devices = JoinSet::new();
    for _ in 0..stage.connections {
        let stage = stage.clone();
        devices.spawn(async move { Talk::whole(&stage).await?.end("tcp_closed").await });
    }
    let mut misses = Vec::new();
    while let Some(ended) = devices.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(Miss::Failed(seen) | Miss::Skipped(seen))) => misses.push(seen),
            Err(error) => misses.push(error.to_string()),
        }
    }
    match misses.first() {
        None => Ok(format!("{} devices at once", stage.connections)),
        Some(first) => fail(format!(
            "{} of {} devices were not served well; one of them: {first}",
            misses.len(),
            stage.connections
        )),
    }
}

async fn slow_device(stage: &Stage) -> Verdict {
    let slow = Talk::login(stage).await?;
    let talks = |each: &&crate::script::Exchange| !each.reply(slow.number).is_empty();
    let Some(exchange) = stage.script.exchanges.iter().find(talks) else {
        return skip("the script has no exchange with a reply");
    };
    let (gateway, conn) = (stage.gateway.clone(), slow.conn.clone());
    gateway.ledger.entry(&conn, |entry| entry.held = true);
    let bytes = exchange.send(slow.number);
    let held = tokio::spawn(async move { gateway.receive(&conn, &bytes).await });
    let waits = stage.gateway.ledger.until(|state| {
        let entry = state.connections.get(&slow.conn)?;
        (entry.waiting > 0).then_some(())
    });
    let waits = stage.patience.wait("call of Send", waits).await;
    let served = match waits {
        Ok(()) => {
            // By then the slow one's callback is not given up.
            let other = stage
                .patience
                .wait("service for another device meanwhile", Talk::whole(stage));
            other.await.and_then(|other| other).map(Some)
        }
        Err(miss) => Err(miss),
    };
    stage
        .gateway
        .ledger
        .entry(&slow.conn, |entry| entry.held = false);
    // How that ends is its own affair: it may be late by now.
    let _ = held.await;
    slow.end("slow_consumer").await.ok();
    if let Some(other) = served? {
        other.end("tcp_closed").await?;
    }
    Ok(String::new())
}

async fn refused_send(stage: &Stage) -> Verdict {
    let talk = Talk::login(stage).await?;
    stage.gateway.ledger.entry(&talk.conn, |entry| {
        entry.refused = Some(ResultCode::Unknown);
    });
    for exchange in &stage.script.exchanges {
        // The handler may well give the connection up.
        talk.receive(&exchange.send(talk.number)).await.ok();
    }
    talk.end("slow_consumer").await.ok();
    let other = Talk::whole(stage).await?;
    other.end("tcp_closed").await?;
    Ok(String::new())
}
