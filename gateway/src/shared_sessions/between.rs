//! What came for a session while it was with no pod: it is read in the logs, for all sessions together that come at a time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
};

use crate::{
    broker::{Filter, Message, Trie, Wanters},
    cluster::{Id, Logs, Partition, Place},
    redis::Failure,
};

/// Sessions for which the logs are read at once.
const SESSIONS: usize = 500;
/// Logs that are read at a time.
const LOGS: usize = 16;
/// Entries that are read at a time.
const ENTRIES: usize = 500;
/// Sessions that wait for that.
const WAITING: usize = 10_000;
/// Longer than anything is kept.
const ALWAYS: Duration = Duration::from_secs(u32::MAX as u64);

/// A filter, and since when, in milliseconds since 1970 by the clock of Redis.
pub(super) type Wanted = (Filter, u64);

/// Where to ask for it. Clones are the same.
#[derive(Clone)]
pub(super) struct Between(mpsc::Sender<Wish>);

/// What a session has missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// In the order of the logs.
    pub(super) messages: Vec<(Id, Arc<Message>)>,
    /// How far the logs were read.
    pub(super) places: Vec<Place>,
    /// They may not tell all.
    pub(super) has_hole: bool,
}

struct Wish {
    /// What it wants, of what was published since.
    filters: Vec<Wanted>,
    places: Vec<Place>,
    /// For how long the session was away.
    away: Duration,
    /// No more messages than that, the latest ones.
    most: usize,
    reply: oneshot::Sender<Result<Missed, Failure>>,
}

impl Between {
    /// Answers come as long as the future is run.
    pub(super) fn new(logs: Logs) -> (Self, impl Future<Output = ()>) {
        let (sender, wishes) = mpsc::channel(WAITING);
        (Self(sender), answer(logs, wishes))
    }

    /// What these filters want of the logs from these places on: of `most` messages at most, the latest ones.
    pub(super) async fn missed(
        &self,
        filters: &[Wanted],
        places: Vec<Place>,
        away: Duration,
        most: usize,
    ) -> Result<Missed, Failure> {
        let (reply, answer) = oneshot::channel();
        let wish = Wish {
            filters: filters.to_vec(),
            places,
            away,
            most,
            reply,
        };
        if self.0.send(wish).await.is_err() {
            return Err(Failure::Lost);
        }
        answer.await.unwrap_or(Err(Failure::Lost))
    }
}

async fn answer(logs: Logs, mut wishes: mpsc::Receiver<Wish>) {
    let mut some = Vec::new();
    while wishes.recv_many(&mut some, SESSIONS).await > 0 {
        let wishes = std::mem::take(&mut some);
        match Reading::of(&wishes).read(&logs).await {
            Ok(missed) => {
                for (wish, missed) in wishes.into_iter().zip(missed) {
                    drop(wish.reply.send(Ok(missed)));
                }
            }
            Err(failure) => {
                for wish in wishes {
                    drop(wish.reply.send(Err(failure.clone())));
                }
            }
        }
    }
}

/// Puts them in order, and keeps so many at most.
fn keep_latest(messages: &mut Vec<(Id, Arc<Message>)>, most: usize) {
    messages.sort_by_key(|(id, _)| *id);
    messages.drain(..messages.len().saturating_sub(most));
}

/// Who wants what since when: wishes by their numbers.
#[derive(Default)]
struct Wanting(Vec<(usize, u64)>);

impl Wanters for Wanting {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Reading<'a> {
    wishes: &'a [Wish],
    wanted: Trie<Wanting>,
    /// Who reads which log from where, in the order of their numbers.
    readers: BTreeMap<Partition, Vec<(usize, Place)>>,
}

/// What one log has, for whom.
struct Part {
    messages: Vec<(usize, Id, Arc<Message>)>,
    readers: Vec<usize>,
    place: Place,
    has_hole: bool,
}

impl<'a> Reading<'a> {
    fn of(wishes: &'a [Wish]) -> Self {
        let mut wanted = Trie::<Wanting>::default();
        let mut readers = BTreeMap::<_, Vec<_>>::new();
        for (number, wish) in wishes.iter().enumerate() {
            for (filter, since) in &wish.filters {
                let wanting = wanted.entry(filter.pattern());
                wanting.0.push((number, *since));
            }
            for place in &wish.places {
                let readers = readers.entry(place.partition).or_default();
                readers.push((number, *place));
            }
        }
        Self {
            wishes,
            wanted,
            readers,
        }
    }

    async fn read(&self, logs: &Logs) -> Result<Vec<Missed>, Failure> {
        let mut all: Vec<_> = self.wishes.iter().map(|_| Missed::default()).collect();
        let readers: Vec<_> = self.readers.values().cloned().collect();
        let mut parts = stream::iter(readers)
            .map(async |readers| self.read_part(logs, readers).await)
            .buffered(LOGS);
        while let Some(part) = parts.try_next().await? {
            for number in part.readers {
                all[number].places.push(part.place);
                all[number].has_hole |= part.has_hole;
            }
            for (number, id, message) in part.messages {
                let messages = &mut all[number].messages;
                messages.push((id, message));
                let most = self.wishes[number].most;
                if messages.len() >= 2 * most {
                    keep_latest(messages, most);
                }
            }
        }
        for (missed, wish) in all.iter_mut().zip(self.wishes) {
            keep_latest(&mut missed.messages, wish.most);
        }
        Ok(all)
    }

    /// Reads one log, from the first place of all who want it on to where it ended when it was first looked at.
    async fn read_part(&self, logs: &Logs, readers: Vec<(usize, Place)>) -> Result<Part, Failure> {
        let numbers: Vec<_> = readers.iter().map(|(number, _)| *number).collect();
        // By far the most were with one pod, and so at one place.
        let places = readers.iter().map(|(_, place)| *place);
        let first = places.reduce(|one, other| if one.is_beyond(&other) { other } else { one });
        let away = numbers.iter().map(|&number| self.wishes[number].away);
        let mut away = away.max().unwrap_or_default();
        let mut part = Part {
            place: first.expect("each log has a reader"),
            messages: Vec::new(),
            readers: numbers,
            has_hole: false,
        };
        let mut end = None;
        loop {
            let page = logs.read(part.place, away, ENTRIES).await?;
            let end = *end.get_or_insert(page.end);
            part.has_hole |= page.has_hole;
            part.place = page.place;
            for (id, message) in page.messages {
                self.sort_out((id, &message), &mut part);
            }
            if page.is_last || part.place.id >= end {
                return Ok(part);
            }
            // What leaves the log in front of the reader is a hole, however short the time.
            away = ALWAYS;
            yield_now().await;
        }
    }

    /// Notes for whom of the readers the message is.
    fn sort_out(&self, (id, message): (Id, &Arc<Message>), part: &mut Part) {
        let mut numbers = Vec::new();
        self.wanted.visit(message.topic.as_str(), |wanting| {
            let some = wanting.0.iter().filter(|(_, since)| id.ms >= *since);
            numbers.extend(some.map(|(number, _)| *number));
        });
        numbers.sort_unstable();
        numbers.dedup();
        numbers.retain(|number| part.readers.binary_search(number).is_ok());
        let some = numbers
            .into_iter()
            .map(|number| (number, id, message.clone()));
        part.messages.extend(some);
    }
}
