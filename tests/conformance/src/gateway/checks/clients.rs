//! Clients: Authenticate, takeover, the timer.

use std::time::Duration;

use proto::exproto::ResultCode;

use super::super::{
    Stage,
    device::Device,
    handler::{Kind, Line, Manner},
};
use crate::{
    check::{Check, Verdict, ensure, fail},
    dialect::Wanted,
};

/// The shortest timer, in seconds. It runs out at 1.5 times as long; EMQX looks once a second.
const INTERVAL: u32 = 1;
/// So much longer may that take than anything else.
const TIMER: Duration = Duration::from_secs(5);

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::new(
            "authenticate",
            "Authenticate with a clientid is answered SUCCESS (where everybody is let in)",
            "proto: Authenticate; exproto.md 2.5",
            &["created-first"],
            |stage| Box::pin(authenticate(stage)),
        ),
        Check::new(
            "authenticate-twice",
            "a second Authenticate of a connection is answered PERMISSION_DENY",
            "exproto.md 2.4",
            &["authenticate"],
            |stage| Box::pin(authenticate_twice(stage)),
        ),
        Check::new(
            "takeover",
            "when another connection takes the clientid, the older is closed, and the newer is served",
            "proto: Authenticate; exproto.md 2.5",
            &["authenticate"],
            |stage| Box::pin(takeover(stage)),
        ),
        Check::new(
            "close-reasons",
            "OnSocketClosed gives the documented reason: the device closed, Close was called, another took the clientid",
            "exproto.md 2.9; compatibility.md: reasons",
            &["closed-last", "authenticate"],
            |stage| Box::pin(close_reasons(stage)),
        ),
        Check::new(
            "timer",
            "without bytes StartTimer ends in OnTimerTimeout, a closed socket, and keepalive_timeout",
            "proto: StartTimer, OnTimerTimeout; exproto.md 2.6",
            &["created-first"],
            |stage| Box::pin(timer(stage)),
        ),
        Check::new(
            "timer-farewell",
            "what is sent from inside OnTimerTimeout reaches the device",
            "proto: OnTimerTimeout; compatibility.md",
            &["timer"],
            |stage| Box::pin(timer_farewell(stage)),
        ),
    ]
}

async fn authenticate(stage: &Stage) -> Verdict {
    let (_, clientid) = Device::client(stage).await?;
    Ok(format!("{clientid:?}"))
}

async fn authenticate_twice(stage: &Stage) -> Verdict {
    let (device, clientid) = Device::client(stage).await?;
    let said = stage.caller.authenticate(&device.conn, &clientid).await?;
    said.must(
        "the second Authenticate",
        Wanted::Code(ResultCode::PermissionDeny),
    )?;
    Ok(String::new())
}

async fn takeover(stage: &Stage) -> Verdict {
    let (mut older, clientid) = Device::client(stage).await?;
    let mut newer = Device::connect(stage).await?;
    let said = stage.caller.authenticate(&newer.conn, &clientid).await?;
    said.done("Authenticate of the newer connection")?;
    older.is_closed(Duration::ZERO).await?;
    older.closed().await?;
    let said = stage.caller.send(&older.conn, "x").await?;
    said.must(
        "Send for the older connection",
        Wanted::Code(ResultCode::ConnProcessNotAlive),
    )?;
    stage
        .caller
        .send(&newer.conn, "yours")
        .await?
        .done("Send for the newer connection")?;
    newer.reads(b"yours").await?;
    Ok(String::new())
}

async fn close_reasons(stage: &Stage) -> Verdict {
    let mut leaves = Device::connect(stage).await?;
    leaves.leave();
    let told_to = Device::connect(stage).await?;
    stage.caller.close(&told_to.conn).await?.done("Close")?;
    let (older, clientid) = Device::client(stage).await?;
    let newer = Device::connect(stage).await?;
    let said = stage.caller.authenticate(&newer.conn, &clientid).await?;
    said.done("Authenticate")?;
    for (device, word) in [
        (&leaves, "tcp_closed"),
        (&told_to, "normal"),
        (&older, "discarded"),
    ] {
        let (reason, wanted) = (device.closed().await?, stage.dialect.reason(word));
        ensure!(
            reason == wanted,
            "the reason is {reason:?}, and not {wanted:?}"
        );
    }
    Ok(String::new())
}

async fn timer(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    // The idle timers of gateways are cancelled by a first byte.
    device.write(b"x").await?;
    let said = stage.caller.start_timer(&device.conn, 0, INTERVAL).await?;
    said.done("StartTimer")?;
    device.is_closed(TIMER).await?;
    let reason = device.closed().await?;
    let timed_out = |line: &Line| line.events.iter().any(|event| event.kind == Kind::Timer);
    ensure!(
        device.line(timed_out),
        "OnTimerTimeout did not come before OnSocketClosed ({reason})"
    );
    let wanted = stage.dialect.reason("keepalive_timeout");
    ensure!(
        reason == wanted,
        "the reason is {reason:?}, and not {wanted:?}"
    );
    Ok(String::new())
}

async fn timer_farewell(stage: &Stage) -> Verdict {
    stage
        .dialect
        .ours("the socket is closed at once, and what is sent is lost")?;
    let mut device = Device::connect(stage).await?;
    device.write(b"x").await?;
    device
        .hears("OnReceivedBytes", |line| {
            (!line.bytes.is_empty()).then_some(())
        })
        .await?;
    device.answer(Manner::Farewell("silent for too long\n".into()));
    let said = stage.caller.start_timer(&device.conn, 0, INTERVAL).await?;
    said.done("StartTimer")?;
    if let Err(miss) = device.reads(b"silent for too long\n").await {
        let inside = device.line(|line| line.inside.first().map(ToString::to_string));
        let inside = inside.unwrap_or("not made".to_owned());
        return match miss {
            crate::check::Miss::Failed(seen) => {
                fail(format!("{seen}; Send from inside was {inside}"))
            }
            skipped @ crate::check::Miss::Skipped(_) => Err(skipped),
        };
    }
    Ok(String::new())
}
