//! Messages: who gets which, in which order, and what they tell.

use proto::exproto::Message;

use super::super::{
    Stage,
    device::Device,
    handler::{Kind, Line},
};
use crate::check::{Check, Miss, Verdict, ensure, fail};

/// So many messages follow each other.
const MANY: usize = 250;
/// The most that one OnReceivedMessages may carry.
const MOST: usize = 100;
/// So many messages a group shares.
const SHARED: usize = 20;

pub(super) fn checks() -> Vec<Check<Stage>> {
    let source = "proto: Publish, Subscribe, OnReceivedMessages; exproto.md 2.7";
    vec![
        Check::new(
            "publish",
            "a published message reaches a subscriber of its topic, also the one who published it",
            source,
            &["authenticate"],
            |stage| Box::pin(publish(stage)),
        ),
        Check::new(
            "message-fields",
            "a message has the topic, payload and qos of its Publish, its clientid in from, a node, an id, a time",
            "proto: Message; exproto.md 2.7",
            &["publish"],
            |stage| Box::pin(message_fields(stage)),
        ),
        Check::new(
            "message-order",
            "messages of one publisher to one topic come in order, each once",
            source,
            &["publish"],
            |stage| Box::pin(message_order(stage)),
        ),
        Check::new(
            "message-batches",
            "an OnReceivedMessages has 1 to 100 messages",
            "proto: ReceivedMessagesRequest.messages; handlers.md: sizes",
            &["message-order"],
            |stage| Box::pin(message_batches(stage)),
        ),
        Check::new(
            "wildcards",
            "+ stands for one level and # for all that follow, and what they do not match does not come",
            "exproto.md 2.7: wildcards as in MQTT",
            &["publish"],
            |stage| Box::pin(wildcards(stage)),
        ),
        Check::new(
            "unsubscribe",
            "after Unsubscribe nothing comes for that filter, and one that was not subscribed is no error",
            "proto: Unsubscribe; exproto.md 2.7",
            &["publish"],
            |stage| Box::pin(unsubscribe(stage)),
        ),
        Check::new(
            "shared",
            "of a $share group each message reaches one member",
            "exproto.md 2.7: $share as in MQTT",
            &["publish"],
            |stage| Box::pin(shared(stage)),
        ),
        Check::new(
            "raw-publish",
            "RawPublish reaches subscribers of its topic, from exproto",
            "proto: RawPublish; exproto.md 2.7",
            &["publish"],
            |stage| Box::pin(raw_publish(stage)),
        ),
    ]
}

async fn publish(stage: &Stage) -> Verdict {
    let ((one, _), (other, _)) = (Device::client(stage).await?, Device::client(stage).await?);
    let topic = stage.name("topic");
    for device in [&one, &other] {
        stage
            .caller
            .subscribe(&device.conn, &topic, 0)
            .await?
            .done("Subscribe")?;
    }
    stage
        .caller
        .publish(&one.conn, &topic, 0, "hello")
        .await?
        .done("Publish")?;
    for (device, who) in [(&one, "its publisher"), (&other, "another client")] {
        if device.messages(1).await.is_err() {
            return fail(format!("the message did not reach {who}"));
        }
    }
    Ok(String::new())
}

async fn message_fields(stage: &Stage) -> Verdict {
    let (device, clientid) = Device::client(stage).await?;
    let topic = format!("{}/fields", stage.name("topic"));
    stage
        .caller
        .subscribe(&device.conn, &topic, 1)
        .await?
        .done("Subscribe")?;
    for payload in ["one", "two"] {
        stage
            .caller
            .publish(&device.conn, &topic, 1, payload)
            .await?
            .done("Publish")?;
    }
    let messages = device.messages(2).await?;
    let message = &messages[0];
    for (field, is, wanted) in [
        ("topic", message.topic.clone(), topic),
        (
            "payload",
            String::from_utf8_lossy(&message.payload).into_owned(),
            "one".to_owned(),
        ),
        ("qos", message.qos.to_string(), "1".to_owned()),
        ("from", message.from.clone(), clientid),
    ] {
        ensure!(is == wanted, "{field} is {is:?}, and not {wanted:?}");
    }
    ensure!(!message.node.is_empty(), "node is empty");
    ensure!(
        message.id != messages[1].id && !message.id.is_empty(),
        "id {:?} came twice, or is empty",
        message.id
    );
    ensure!(
        message.timestamp > 1_000_000_000_000,
        "timestamp {} is no time in milliseconds",
        message.timestamp
    );
    Ok(String::new())
}

async fn message_order(stage: &Stage) -> Verdict {
    let device = publish_many(stage).await?;
    let payloads = payloads(&device.messages(MANY).await?);
    let wanted: Vec<String> = (0..MANY).map(|number| number.to_string()).collect();
    let wrong = payloads
        .iter()
        .zip(&wanted)
        .position(|(is, wanted)| is != wanted);
    if let Some(at) = wrong {
        return fail(format!(
            "message {at} is {:?}, and not {:?}",
            payloads[at], wanted[at]
        ));
    }
    ensure!(
        payloads.len() == MANY,
        "{} messages came for {MANY}",
        payloads.len()
    );
    Ok(format!("{MANY} messages"))
}

async fn message_batches(stage: &Stage) -> Verdict {
    stage
        .dialect
        .ours("a batch is what waits, one more than active_n at most")?;
    let device = publish_many(stage).await?;
    device.messages(MANY).await?;
    let sizes: Vec<usize> = device.line(|line: &Line| {
        let size = |event: &super::super::handler::Event| match &event.kind {
            Kind::Messages(messages) => Some(messages.len()),
            _ => None,
        };
        line.events.iter().filter_map(size).collect()
    });
    let bad = sizes.iter().find(|size| !(1..=MOST).contains(*size));
    ensure!(bad.is_none(), "one had {}", bad.unwrap_or(&0));
    Ok(format!("{MANY} messages in {} callbacks", sizes.len()))
}

/// A subscriber, and many messages for it.
async fn publish_many(stage: &Stage) -> Result<Device, Miss> {
    let (device, _) = Device::client(stage).await?;
    let topic = stage.name("topic");
    stage
        .caller
        .subscribe(&device.conn, &topic, 1)
        .await?
        .done("Subscribe")?;
    for number in 0..MANY {
        let said = stage
            .caller
            .publish(&device.conn, &topic, 1, &number.to_string())
            .await?;
        said.done("Publish")?;
    }
    Ok(device)
}

async fn wildcards(stage: &Stage) -> Verdict {
    let (device, _) = Device::client(stage).await?;
    let root = stage.name("topic");
    for filter in ["one/+/end", "all/#"] {
        let filter = format!("{root}/{filter}");
        stage
            .caller
            .subscribe(&device.conn, &filter, 0)
            .await?
            .done("Subscribe")?;
    }
    let matching = ["one/a/end", "all", "all/b", "all/b/c"];
    let others = ["one/end", "one/a/b/end", "one/a/end/more", "al", "two"];
    for topic in others.iter().chain(&matching) {
        let said = stage
            .caller
            .publish(&device.conn, &format!("{root}/{topic}"), 0, topic)
            .await?;
        said.done("Publish")?;
    }
    let mut came = payloads(&device.messages(matching.len()).await?);
    came.sort();
    let mut wanted: Vec<String> = matching.map(str::to_owned).to_vec();
    wanted.sort();
    ensure!(
        came == wanted,
        "of one/+/end and all/# came {came:?}, and not {wanted:?}"
    );
    Ok(String::new())
}

async fn unsubscribe(stage: &Stage) -> Verdict {
    let (device, _) = Device::client(stage).await?;
    let (left, kept) = (stage.name("left"), stage.name("kept"));
    for filter in [&left, &kept] {
        stage
            .caller
            .subscribe(&device.conn, filter, 0)
            .await?
            .done("Subscribe")?;
    }
    stage
        .caller
        .unsubscribe(&device.conn, &left)
        .await?
        .done("Unsubscribe")?;
    let said = stage
        .caller
        .unsubscribe(&device.conn, &stage.name("never"))
        .await?;
    said.done("Unsubscribe of what was not subscribed")?;
    for topic in [&left, &kept] {
        stage
            .caller
            .publish(&device.conn, topic, 0, topic)
            .await?
            .done("Publish")?;
    }
    let came = payloads(&device.messages(1).await?);
    ensure!(
        came == [kept.clone()],
        "came {came:?}, and not {kept:?} alone"
    );
    Ok(String::new())
}

async fn shared(stage: &Stage) -> Verdict {
    let ((one, _), (other, _)) = (Device::client(stage).await?, Device::client(stage).await?);
    let topic = stage.name("topic");
    let filter = format!("$share/{}/{topic}", stage.name("group"));
    for device in [&one, &other] {
        stage
            .caller
            .subscribe(&device.conn, &filter, 0)
            .await?
            .done("Subscribe")?;
    }
    // What is no member's comes last, so that all that is shared has come before it.
    let marker = stage.name("marker");
    for device in [&one, &other] {
        stage
            .caller
            .subscribe(&device.conn, &marker, 0)
            .await?
            .done("Subscribe")?;
    }
    for number in 0..SHARED {
        let said = stage
            .caller
            .publish(&one.conn, &topic, 0, &number.to_string())
            .await?;
        said.done("Publish")?;
    }
    stage
        .caller
        .publish(&one.conn, &marker, 0, "marker")
        .await?
        .done("Publish")?;
    let mut came = Vec::new();
    for device in [&one, &other] {
        let look = |line: &Line| {
            line.messages()
                .iter()
                .any(|each| each.topic == marker)
                .then_some(())
        };
        device
            .hears("message after those that were shared", look)
            .await?;
        let messages = device.line(Line::messages);
        came.extend(messages.into_iter().filter(|each| each.topic == topic));
    }
    let mut numbers = payloads(&came);
    numbers.sort();
    let mut wanted: Vec<String> = (0..SHARED).map(|number| number.to_string()).collect();
    wanted.sort();
    ensure!(
        numbers == wanted,
        "of {SHARED} messages came {}: {numbers:?}",
        numbers.len()
    );
    Ok(format!("{SHARED} messages, each once"))
}

async fn raw_publish(stage: &Stage) -> Verdict {
    let (device, _) = Device::client(stage).await?;
    let topic = stage.name("topic");
    stage
        .caller
        .subscribe(&device.conn, &topic, 0)
        .await?
        .done("Subscribe")?;
    // No mountpoint is added to it, as there is one to what was subscribed.
    let mounted = format!("{}{topic}", stage.mountpoint);
    stage
        .caller
        .raw_publish(&mounted, 0, "raw")
        .await?
        .done("RawPublish")?;
    let messages = device.messages(1).await?;
    let from = &messages[0].from;
    ensure!(from == "exproto", "from is {from:?}, and not \"exproto\"");
    Ok(String::new())
}

fn payloads(messages: &[Message]) -> Vec<String> {
    let text = |message: &Message| String::from_utf8_lossy(&message.payload).into_owned();
    messages.iter().map(text).collect()
}
