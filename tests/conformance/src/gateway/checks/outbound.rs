//! Bytes for the device: Send, its order, and Close after it.

use proto::exproto::ResultCode;

use super::{
    super::{Stage, device::Device, handler::Manner},
    inbound::pattern,
};
use crate::{
    check::{Check, Verdict, ensure},
    dialect::Wanted,
};

/// So many calls of Send follow each other.
const SENDS: usize = 100;
/// More than the buffers of a socket take at once, and less than an outbox.
const LARGE: usize = 512 * 1024;

pub(super) fn checks() -> Vec<Check<Stage>> {
    let source = "proto: Send; exproto.md 2.8";
    vec![
        Check::new(
            "send",
            "what Send accepted reaches the device, also before Authenticate",
            source,
            &["created-first"],
            |stage| Box::pin(send(stage)),
        ),
        Check::new(
            "send-order",
            "what one Send after the other accepted reaches the device in that order",
            source,
            &["send"],
            |stage| Box::pin(send_order(stage)),
        ),
        Check::new(
            "send-inside",
            "Send is answered while a callback of the same connection is in flight",
            "proto: ConnectionAdapter, from any place; exproto.md 2.2",
            &["send"],
            |stage| Box::pin(send_inside(stage)),
        ),
        Check::new(
            "send-inside-closed",
            "Send from inside OnSocketClosed is answered CONN_PROCESS_NOT_ALIVE, and not left waiting",
            "exproto.md 2.4",
            &["send", "closed-last"],
            |stage| Box::pin(send_inside_closed(stage)),
        ),
        Check::new(
            "close-delivers",
            "Close writes all that Send has accepted, and then closes the socket",
            "proto: Close, after writing what Send has accepted",
            &["send"],
            |stage| Box::pin(close_delivers(stage)),
        ),
    ]
}

async fn send(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    let all = pattern(300);
    stage
        .caller
        .send(&device.conn, all.clone())
        .await?
        .done("Send")?;
    device.reads(&all).await?;
    Ok(format!("{} bytes, all values", all.len()))
}

async fn send_order(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    let mut all = Vec::new();
    for number in 0..SENDS {
        let line = format!("{number}\n").into_bytes();
        stage
            .caller
            .send(&device.conn, line.clone())
            .await?
            .done("Send")?;
        all.extend(line);
    }
    device.reads(&all).await?;
    Ok(format!("{SENDS} calls"))
}

async fn send_inside(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    device.answer(Manner::Echo);
    device.write(b"marco").await?;
    let said = device
        .hears("answer to Send", |line| line.inside.first().cloned())
        .await?;
    said.done("Send from inside OnReceivedBytes")?;
    device.reads(b"marco").await?;
    Ok(String::new())
}

async fn send_inside_closed(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    device.answer(Manner::Farewell("too late".into()));
    device.leave();
    device.closed().await?;
    let said = device
        .hears("answer to Send", |line| line.inside.first().cloned())
        .await?;
    said.must(
        "Send from inside OnSocketClosed",
        Wanted::Code(ResultCode::ConnProcessNotAlive),
    )?;
    Ok(String::new())
}

async fn close_delivers(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    let all = pattern(LARGE);
    stage
        .caller
        .send(&device.conn, all.clone())
        .await?
        .done("Send")?;
    stage.caller.close(&device.conn).await?.done("Close")?;
    device.reads(&all).await?;
    device.is_closed(std::time::Duration::ZERO).await?;
    let closed = device.closed().await;
    ensure!(closed.is_ok(), "OnSocketClosed did not come after Close");
    Ok(format!("{LARGE} bytes before the end"))
}
