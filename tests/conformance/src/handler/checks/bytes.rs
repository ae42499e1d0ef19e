//! Bytes, however they are cut: the boundaries of a stream mean nothing.

use super::super::{Stage, talk::Talk};
use crate::{
    check::{Check, Miss, Verdict, ensure, skip},
    script::Boundaries,
};

/// The most that one OnReceivedBytes carries.
const LARGEST: usize = 64 * 1024;

pub(super) fn checks() -> Vec<Check<Stage>> {
    let source = "proto: OnReceivedBytes, boundaries mean nothing on TCP and TLS; exproto.md 2.2";
    vec![
        Check::new(
            "exchanges",
            "what the script's device sends is answered by the script's replies, and nothing else",
            "the script",
            &["created"],
            |stage| Box::pin(exchanges(stage)),
        ),
        Check::new(
            "one-byte-splits",
            "bytes that come one by one give the same replies as in one piece",
            source,
            &["exchanges"],
            |stage| Box::pin(one_byte_splits(stage)),
        ),
        Check::new(
            "coalesced",
            "frames that come together in one OnReceivedBytes are all answered, in order",
            source,
            &["exchanges"],
            |stage| Box::pin(coalesced(stage)),
        ),
        Check::new(
            "straddling",
            "a frame and the beginning of the next in one OnReceivedBytes, and the rest in another, are both answered",
            source,
            &["exchanges"],
            |stage| Box::pin(straddling(stage)),
        ),
        Check::new(
            "full-size",
            "one OnReceivedBytes of up to 64 KiB is answered whole",
            "handlers.md: sizes",
            &["exchanges", "coalesced"],
            |stage| Box::pin(full_size(stage)),
        ),
        Check::new(
            "repeated-offset",
            "bytes that come again, with the same exproto-offset and exproto-attempt 2, are taken once",
            "handlers.md: bytes that come twice",
            &["exchanges"],
            |stage| Box::pin(repeated_offset(stage)),
        )
        .unless_asked("needed only with retry_unacknowledged: true"),
    ]
}

async fn exchanges(stage: &Stage) -> Verdict {
    let talk = Talk::whole(stage).await?;
    talk.end("tcp_closed").await?;
    Ok(format!(
        "{} exchanges",
        stage.script.login.len() + stage.script.exchanges.len()
    ))
}

async fn one_byte_splits(stage: &Stage) -> Verdict {
    is_stream(stage)?;
    let mut talk = Talk::open(stage).await?;
    let number = talk.number;
    let mut pieces = 0;
    for exchange in stage.script.login.iter().chain(&stage.script.exchanges) {
        for byte in exchange.send(number) {
            talk.receive(&[byte]).await?;
            pieces += 1;
        }
        talk.expect(&exchange.reply(number)).await?;
    }
    talk.end("tcp_closed").await?;
    Ok(format!("{pieces} callbacks of one byte"))
}

async fn coalesced(stage: &Stage) -> Verdict {
    is_stream(stage)?;
    let mut talk = Talk::login(stage).await?;
    let (sent, replies) = rounds(stage, talk.number, 2);
    talk.receive(&sent).await?;
    talk.expect(&replies).await?;
    talk.end("tcp_closed").await?;
    Ok(format!(
        "{} frames in one callback",
        2 * stage.script.exchanges.len()
    ))
}

async fn straddling(stage: &Stage) -> Verdict {
    is_stream(stage)?;
    let mut talk = Talk::login(stage).await?;
    let (sent, replies) = rounds(stage, talk.number, 2);
    let first = stage.script.exchanges[0].send(talk.number).len();
    let second = stage
        .script
        .exchanges
        .get(1)
        .unwrap_or(&stage.script.exchanges[0]);
    let half = second.send(talk.number).len() / 2;
    ensure_splits(half)?;
    let (begin, rest) = sent.split_at(first + half);
    talk.receive(begin).await?;
    talk.receive(rest).await?;
    talk.expect(&replies).await?;
    talk.end("tcp_closed").await?;
    Ok(format!("cut at byte {} of {}", begin.len(), sent.len()))
}

async fn full_size(stage: &Stage) -> Verdict {
    is_stream(stage)?;
    let mut talk = Talk::login(stage).await?;
    let once = rounds(stage, talk.number, 1).0.len();
    ensure!(
        once <= LARGEST,
        "the script's exchanges have {once} bytes; no callback carries more than {LARGEST}"
    );
    let (sent, replies) = rounds(stage, talk.number, LARGEST / once);
    talk.receive(&sent).await?;
    talk.expect(&replies).await?;
    talk.end("tcp_closed").await?;
    Ok(format!("{} bytes", sent.len()))
}

async fn repeated_offset(stage: &Stage) -> Verdict {
    let mut talk = Talk::login(stage).await?;
    for exchange in &stage.script.exchanges {
        talk.say(exchange).await?;
        stage
            .gateway
            .repeat(&talk.conn, &exchange.send(talk.number))
            .await?;
        talk.expect(&[]).await?;
    }
    // What comes new is still taken.
    talk.exchange_all().await?;
    talk.end("tcp_closed").await?;
    Ok(String::new())
}

/// All that a device says in so many rounds of exchanges, and all that must come back.
fn rounds(stage: &Stage, number: u32, count: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut sent, mut replies) = (Vec::new(), Vec::new());
    for _ in 0..count {
        for exchange in &stage.script.exchanges {
            sent.extend(exchange.send(number));
            replies.extend(exchange.reply(number));
        }
    }
    (sent, replies)
}

fn is_stream(stage: &Stage) -> Result<(), Miss> {
    match stage.script.boundaries {
        Boundaries::None => Ok(()),
        Boundaries::Kept => {
            skip("boundaries are kept: each OnReceivedBytes is one frame or datagram")
        }
    }
}

fn ensure_splits(half: usize) -> Result<(), Miss> {
    if half == 0 {
        return skip("the script's frames have one byte, which cannot be cut");
    }
    Ok(())
}
