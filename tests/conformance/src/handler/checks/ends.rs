//! How connections begin and end.

use super::super::{Stage, callback::Failure, ledger::Entry, new_conn, talk::Talk};
use crate::{
    check::{Check, Verdict, ensure, skip},
    script::Boundaries,
};

/// Reasons that OnSocketClosed may give, of gateways of both kinds.
const REASONS: [&str; 12] = [
    "tcp_closed",
    "normal",
    "kicked",
    "discarded",
    "idle_timeout",
    "keepalive_timeout",
    "expired",
    "draining",
    "handler_lost",
    "econnreset",
    "{shutdown,tcp_closed}",
    "",
];

/// What all others need.
pub(super) fn first() -> Vec<Check<Stage>> {
    vec![
        Check::new(
            "created",
            "OnSocketCreated is answered OK",
            "proto: ConnectionUnaryHandler; exproto.md 2.3: any other status closes the device",
            &[],
            |stage| Box::pin(created(stage)),
        ),
        Check::new(
            "closed",
            "OnSocketClosed is answered OK, whatever its reason",
            "proto: SocketClosedRequest.reason; exproto.md 2.9",
            &["created"],
            |stage| Box::pin(closed(stage)),
        ),
    ]
}

/// Those that need the exchanges.
pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::new(
            "half-close",
            "after OnSocketClosed the handler makes no call for that connection",
            "proto: OnSocketClosed is the last callback; exproto.md 2.4: later calls are CONN_PROCESS_NOT_ALIVE",
            &["exchanges"],
            |stage| Box::pin(half_close(stage)),
        ),
        Check::new(
            "farewell",
            "what makes the handler close a connection is answered, and then Close is called",
            "proto: ConnectionAdapter.Close; exproto.md 2.8",
            &["exchanges"],
            |stage| Box::pin(farewell(stage)),
        ),
        Check::new(
            "unknown-conn",
            "a connection that the handler was never told of upsets nothing: its OnSocketClosed is answered OK",
            "handlers.md: OnSocketClosed goes to another handler where the one that knew it is lost",
            &["exchanges", "closed"],
            |stage| Box::pin(unknown_conn(stage)),
        ),
        Check::new(
            "created-again",
            "a connection that is introduced again (exproto-attempt 2) is served",
            "handlers.md: on_handler_loss: rebind",
            &["exchanges"],
            |stage| Box::pin(created_again(stage)),
        )
        .unless_asked("needed only with on_handler_loss: rebind"),
    ]
}

async fn created(stage: &Stage) -> Verdict {
    let talk = Talk::open(stage).await?;
    talk.end("tcp_closed").await.ok();
    Ok(String::new())
}

async fn closed(stage: &Stage) -> Verdict {
    for reason in REASONS {
        let talk = Talk::open(stage).await?;
        stage.gateway.end(&talk.conn, reason).await?;
    }
    Ok(format!("{} reasons", REASONS.len()))
}

/// A device sends all that it has to say and closes at once: created, bytes, closed.
async fn half_close(stage: &Stage) -> Verdict {
    let talk = Talk::login(stage).await?;
    let all = stage
        .script
        .exchanges
        .iter()
        .map(|each| each.send(talk.number));
    match stage.script.boundaries {
        Boundaries::None => talk.receive(&all.collect::<Vec<_>>().concat()).await?,
        Boundaries::Kept => {
            for bytes in all {
                talk.receive(&bytes).await?;
            }
        }
    }
    // Whether that is answered well, another check says.
    stage.gateway.end(&talk.conn, "tcp_closed").await.ok();
    let late = talk.late_calls(0).await;
    ensure!(
        late.is_empty(),
        "after OnSocketClosed was answered came {}",
        late.join(", ")
    );
    Ok(format!(
        "no call within {:?} after it",
        stage.patience.settle
    ))
}

async fn farewell(stage: &Stage) -> Verdict {
    let Some(farewell) = &stage.script.farewell else {
        return skip("the script has no farewell");
    };
    let mut talk = Talk::login(stage).await?;
    talk.say(farewell).await?;
    let asked = stage.gateway.ledger.until(|state| {
        let entry = state.connections.get(&talk.conn)?;
        entry.close_asked.then_some(())
    });
    stage.patience.wait("call of Close", asked).await?;
    talk.told().await?;
    Ok(String::new())
}

async fn unknown_conn(stage: &Stage) -> Verdict {
    let stray = new_conn();
    stage.gateway.ledger.entry(&stray, Entry::leave);
    stage.gateway.close_unknown(&stray).await?;
    // Bytes may be refused, but not left without an answer.
    if let Err(failure @ Failure::Silent(..)) = stage.gateway.receive(&stray, b"x").await {
        return Err(failure.into());
    }
    let talk = Talk::whole(stage).await?;
    talk.end("tcp_closed").await?;
    Ok(String::new())
}

async fn created_again(stage: &Stage) -> Verdict {
    let mut talk = Talk::open(stage).await?;
    stage.gateway.create(&talk.conn, talk.number, 2).await?;
    talk.log_in().await?;
    talk.exchange_all().await?;
    talk.end("tcp_closed").await?;
    Ok(String::new())
}
