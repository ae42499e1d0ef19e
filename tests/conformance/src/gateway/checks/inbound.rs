//! Bytes of the device: each once, in order, however they were written.

use super::super::{
    Stage,
    device::Device,
    handler::{Kind, Manner},
};
use crate::check::{Check, Verdict, ensure};

/// More than any buffer between device and handler.
const LARGE: usize = 1024 * 1024;
/// The most that one OnReceivedBytes may carry.
const LARGEST: usize = 64 * 1024;

pub(super) fn checks() -> Vec<Check<Stage>> {
    let source = "proto: OnReceivedBytes; exproto.md 2.2";
    vec![
        Check::new(
            "bytes",
            "what the device writes is handed over, byte for byte",
            source,
            &["created-first"],
            |stage| Box::pin(bytes(stage)),
        ),
        Check::new(
            "bytes-one-by-one",
            "bytes that are written one by one are all handed over, in order",
            source,
            &["bytes"],
            |stage| Box::pin(bytes_one_by_one(stage)),
        ),
        Check::new(
            "bytes-large",
            "a megabyte is handed over whole and in order",
            source,
            &["bytes"],
            |stage| Box::pin(bytes_large(stage)),
        ),
        Check::new(
            "callback-size",
            "no OnReceivedBytes is empty, or has more than 64 KiB",
            "handlers.md: sizes",
            &["bytes"],
            |stage| Box::pin(callback_size(stage)),
        ),
        Check::new(
            "bytes-behind",
            "bytes that come while a callback is in flight are handed over after it, in order",
            source,
            &["bytes"],
            |stage| Box::pin(bytes_behind(stage)),
        ),
        Check::new(
            "half-close",
            "what a device says just before it ends its side is handed over, and what is sent for it is written",
            "design.md 3: half-close; compatibility.md",
            &["bytes"],
            |stage| Box::pin(half_close(stage)),
        ),
    ]
}

/// Bytes in which each place can be told from the next.
pub(super) fn pattern(count: usize) -> Vec<u8> {
    (0..count)
        .map(|at| (at / 256 + at).to_le_bytes()[0])
        .collect()
}

async fn bytes(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    let all = pattern(300);
    device.write(&all).await?;
    device.delivered(&all).await?;
    Ok(format!("{} bytes, all values", all.len()))
}

async fn bytes_one_by_one(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    let all = pattern(200);
    for byte in &all {
        device.write(&[*byte]).await?;
    }
    device.delivered(&all).await?;
    let callbacks = device.line(|line| line.events.len()) - 1;
    Ok(format!("{} writes in {callbacks} callbacks", all.len()))
}

async fn bytes_large(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    let all = pattern(LARGE);
    device.write(&all).await?;
    device.delivered(&all).await?;
    Ok(format!("{LARGE} bytes"))
}

async fn callback_size(stage: &Stage) -> Verdict {
    stage
        .dialect
        .ours("a callback is what the system read at a time")?;
    let mut device = Device::connect(stage).await?;
    // All that fits waits behind the first, and comes together.
    device.answer(Manner::Held);
    device.write(b"first").await?;
    device
        .hears("OnReceivedBytes", |line| {
            (!line.bytes.is_empty()).then_some(())
        })
        .await?;
    device.write(&pattern(2 * LARGEST)).await?;
    device.answer(Manner::Plain);
    device
        .hears("bytes", |line| {
            (line.bytes.len() >= 5 + 2 * LARGEST).then_some(())
        })
        .await?;
    let sizes: Vec<usize> = device.line(|line| {
        let size = |event: &super::super::handler::Event| match &event.kind {
            Kind::Bytes(bytes) => Some(bytes.len()),
            _ => None,
        };
        line.events.iter().filter_map(size).collect()
    });
    let (least, most) = (sizes.iter().min(), sizes.iter().max());
    ensure!(least != Some(&0), "one was empty");
    ensure!(
        most <= Some(&LARGEST),
        "one had {} bytes",
        most.unwrap_or(&0)
    );
    Ok(format!("the largest had {} bytes", most.unwrap_or(&0)))
}

async fn bytes_behind(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    device.answer(Manner::Held);
    let all = pattern(30);
    for part in all.chunks(10) {
        device.write(part).await?;
        device
            .hears("OnReceivedBytes", |line| {
                (!line.bytes.is_empty()).then_some(())
            })
            .await?;
    }
    device.answer(Manner::Plain);
    device.delivered(&all).await?;
    Ok(String::new())
}

async fn half_close(stage: &Stage) -> Verdict {
    stage
        .dialect
        .ours("what the device said last may be dropped")?;
    let mut device = Device::connect(stage).await?;
    device.answer(Manner::Echo);
    device.write(b"goodbye").await?;
    device.finish().await?;
    device.reads(b"goodbye").await?;
    device.is_closed(std::time::Duration::ZERO).await?;
    device.closed().await?;
    Ok(String::new())
}
