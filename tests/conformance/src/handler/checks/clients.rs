//! Clients: who authenticates as whom, takeover, the timer, messages.

use super::super::{Stage, callback::Failure, talk::Talk};
use crate::check::{Check, Miss, Verdict, ensure, skip};

/// The most messages that one OnReceivedMessages carries.
const MOST: usize = 100;

pub(super) fn checks() -> Vec<Check<Stage>> {
    let messages = "proto: ReceivedMessagesRequest.messages, one or more; exproto.md 2.7";
    vec![
        Check::new(
            "authenticate",
            "after the script's login the connection is the client that the script says",
            "proto: Authenticate; exproto.md 2.5",
            &["exchanges"],
            |stage| Box::pin(authenticate(stage)),
        ),
        Check::new(
            "takeover",
            "when another connection takes the clientid, the newer is served and the older is called for no more",
            "proto: Authenticate, the older connection is closed as discarded; exproto.md 2.5",
            &["authenticate"],
            |stage| Box::pin(takeover(stage)),
        ),
        Check::new(
            "timer",
            "OnTimerTimeout is answered OK",
            "proto: OnTimerTimeout; exproto.md 2.6",
            &["exchanges"],
            |stage| Box::pin(timer(stage)),
        ),
        Check::new(
            "messages-one",
            "OnReceivedMessages with one message is answered OK, and the device is told of it as the script says",
            messages,
            &["exchanges"],
            |stage| Box::pin(messages_one(stage)),
        ),
        Check::new(
            "messages-many",
            "of 100 messages in one OnReceivedMessages each is taken, in order",
            messages,
            &["messages-one"],
            |stage| Box::pin(messages_many(stage)),
        ),
        Check::new(
            "messages-none",
            "an OnReceivedMessages without messages is answered OK",
            messages,
            &["messages-one"],
            |stage| Box::pin(messages_none(stage)),
        )
        .unless_asked("no gateway of this contract sends none"),
    ]
}

async fn authenticate(stage: &Stage) -> Verdict {
    let talk = Talk::whole(stage).await?;
    let Some(wanted) = talk.clientid() else {
        talk.end("tcp_closed").await.ok();
        return skip("the script has no clientid");
    };
    let clientid = talk.entry(|entry| entry.clientid.clone());
    talk.end("tcp_closed").await.ok();
    ensure!(
        clientid.as_ref() == Some(&wanted),
        "it is {}; the script says {wanted:?}",
        clientid.map_or(
            "nobody: Authenticate was not called".to_owned(),
            |one| format!("{one:?}")
        )
    );
    Ok(format!("{wanted:?}"))
}

async fn takeover(stage: &Stage) -> Verdict {
    let older = Talk::whole(stage).await?;
    let mut newer = Talk::login_as(stage, older.number).await?;
    older.told().await?;
    // Calls that the end itself has caused are another check's affair.
    let seen = older.late_calls(0).await.len();
    newer.exchange_all().await?;
    let late = older.late_calls(seen).await;
    ensure!(
        late.is_empty(),
        "calls for the older connection, which has ended: {}",
        late.join(", ")
    );
    newer.end("tcp_closed").await?;
    Ok(String::new())
}

async fn timer(stage: &Stage) -> Verdict {
    let talk = Talk::whole(stage).await?;
    let has_timer = talk.entry(|entry| entry.has_timer);
    let answered = stage.gateway.time_out(&talk.conn).await;
    talk.end("keepalive_timeout").await.ok();
    served_if_asked(
        answered,
        has_timer,
        "the handler has started no timer, and serves no OnTimerTimeout",
    )?;
    Ok(String::new())
}

async fn messages_one(stage: &Stage) -> Verdict {
    deliver(stage, 1).await
}

async fn messages_many(stage: &Stage) -> Verdict {
    deliver(stage, MOST).await
}

async fn deliver(stage: &Stage, count: usize) -> Verdict {
    let mut talk = Talk::whole(stage).await?;
    let subscribed = talk.entry(|entry| !entry.subscriptions.is_empty());
    let (messages, replies): (Vec<_>, Vec<_>) = (0..count).map(|index| talk.message(index)).unzip();
    let answered = stage.gateway.deliver(&talk.conn, messages).await;
    let asked = subscribed || !stage.script.messages.is_empty();
    served_if_asked(
        answered,
        asked,
        "the handler has subscribed to nothing, and serves no OnReceivedMessages",
    )?;
    if stage.script.messages.is_empty() {
        talk.end("tcp_closed").await.ok();
        return Ok(
            "the script has no messages, so what the device is told was not looked at".to_owned(),
        );
    }
    talk.expect(&replies.concat()).await?;
    talk.end("tcp_closed").await?;
    Ok(format!("{count} taken"))
}

async fn messages_none(stage: &Stage) -> Verdict {
    let talk = Talk::whole(stage).await?;
    stage.gateway.deliver(&talk.conn, Vec::new()).await?;
    talk.end("tcp_closed").await?;
    Ok(String::new())
}

/// A method that is not served is no fault where nothing asks for it.
fn served_if_asked(answered: Result<(), Failure>, asked: bool, why: &str) -> Result<(), Miss> {
    match answered {
        Err(failure) if failure.is_unimplemented() && !asked => skip(why),
        answered => Ok(answered?),
    }
}
