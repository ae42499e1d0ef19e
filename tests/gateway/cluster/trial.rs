//! Publishing without a pause while something happens. In the end it is held against each other what was answered and what
//! came: what was answered SUCCESS has come, nothing has come twice by a subscription, and all of it is in order.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use exproto_tests::{Event, TestHandler, until};
use proto::exproto::{Message, ResultCode};

use super::Client;
use crate::calls::ok;

/// Where messages of `QoS` 1 go by turns, and what is subscribed for them.
const TOPICS: [(&str, &str); 2] = [("exact", "exact"), ("wild/1", "wild/#")];
/// Where those of `QoS` 0 go.
const LOOSE: &str = "loose";
/// At least so many are published after all has happened.
const AFTER: usize = 50;

/// What was found besides.
pub(super) struct Outcome {
    /// Messages of `QoS` 1 that were not answered SUCCESS.
    pub(super) unsure: usize,
    /// Messages of `QoS` 0 that have not come.
    pub(super) loose_lost: usize,
    /// For more.
    pub(super) publisher: Client,
}

/// The payload of a message.
type Payload = fn(usize) -> String;

/// Publishes as `publisher` while `what` happens, and takes what comes to `far`, whose handler this is.
pub(super) async fn trial(
    publisher: Client,
    far: &mut Client,
    handler: &TestHandler,
    what: impl Future<Output = ()>,
) -> Outcome {
    trial_with(publisher, far, handler, |number| number.to_string(), what).await
}

/// The same with payloads that begin with their number and a blank.
pub(super) async fn trial_with(
    mut publisher: Client,
    far: &mut Client,
    handler: &TestHandler,
    payload: Payload,
    what: impl Future<Output = ()>,
) -> Outcome {
    for filter in [TOPICS[0].1, TOPICS[1].1, LOOSE] {
        ok(&far.calls.subscribe(filter, 1).await);
    }
    until("the pods to know each other", async || {
        ok(&publisher.calls.publish(TOPICS[1].0, 0, "warm").await);
        handler.try_next().is_some()
    })
    .await;
    let happened = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn(publish(publisher, payload, happened.clone()));
    what.await;
    happened.store(true, SeqCst);
    let done = publishing.await.unwrap();
    let mut came = Came::default();
    until("the last messages", async || {
        while let Some(callback) = handler.try_next() {
            match callback.event {
                Event::Messages(messages) => messages.iter().for_each(|each| came.take(each)),
                other => panic!("not OnReceivedMessages: {other:?}"),
            }
        }
        done.lasts.iter().all(|last| came.firm.contains(last))
    })
    .await;
    done.compare(&came);
    Outcome {
        unsure: done.unsure.len(),
        loose_lost: done.loose - came.loose.len(),
        publisher: done.publisher,
    }
}

struct Published {
    publisher: Client,
    /// How many with `QoS` 0.
    loose: usize,
    answered: BTreeSet<usize>,
    unsure: BTreeSet<usize>,
    /// The last one to each topic, which was answered SUCCESS.
    lasts: Vec<usize>,
}

async fn publish(mut publisher: Client, payload: Payload, happened: Arc<AtomicBool>) -> Published {
    let (mut answered, mut unsure) = (BTreeSet::new(), BTreeSet::new());
    let (mut count, mut loose, mut after) = (0, 0, 0);
    let mut lasts = Vec::new();
    while lasts.len() < TOPICS.len() {
        let (topic, _) = TOPICS[count % TOPICS.len()];
        let answer = publisher.calls.publish(topic, 1, payload(count)).await;
        let is_sure = answer.code() == ResultCode::Success;
        if is_sure {
            answered.insert(count);
        } else {
            unsure.insert(count);
        }
        after += usize::from(happened.load(SeqCst));
        let is_in_turn = lasts
            .iter()
            .all(|last| last % TOPICS.len() != count % TOPICS.len());
        if after > AFTER && is_sure && is_in_turn {
            lasts.push(count);
        }
        // What comes before the last ones has come with them.
        if lasts.is_empty() {
            ok(&publisher.calls.publish(LOOSE, 0, loose.to_string()).await);
            loose += 1;
        }
        count += 1;
    }
    Published {
        publisher,
        loose,
        answered,
        unsure,
        lasts,
    }
}

impl Published {
    fn compare(&self, came: &Came) {
        let all: BTreeSet<_> = came.firm.iter().copied().collect();
        let lost: Vec<_> = self.answered.difference(&all).collect();
        assert!(
            lost.is_empty(),
            "answered SUCCESS, and never came: {lost:?}"
        );
        assert_eq!(
            all.len(),
            came.firm.len(),
            "something came twice: {:?}",
            came.firm
        );
        for (turn, (topic, _)) in TOPICS.iter().enumerate() {
            let of_topic = came
                .firm
                .iter()
                .filter(|number| *number % TOPICS.len() == turn);
            // What was answered otherwise may come later.
            let sure: Vec<_> = of_topic
                .filter(|number| self.answered.contains(number))
                .collect();
            assert!(sure.is_sorted(), "{topic}: {sure:?}");
        }
        let loose: BTreeSet<_> = came.loose.iter().copied().collect();
        assert_eq!(
            loose.len(),
            came.loose.len(),
            "something came twice: {:?}",
            came.loose
        );
        assert!(came.loose.is_sorted(), "{:?}", came.loose);
    }
}

/// In the order in which it came.
#[derive(Default)]
struct Came {
    firm: Vec<usize>,
    loose: Vec<usize>,
}

impl Came {
    fn take(&mut self, message: &Message) {
        let text = str::from_utf8(&message.payload).unwrap();
        let number = text.split(' ').next().unwrap_or_default();
        // But for those from before.
        if let Ok(number) = number.parse() {
            let came = if message.topic == LOOSE {
                &mut self.loose
            } else {
                &mut self.firm
            };
            came.push(number);
        }
    }
}
