//! What came for a session while it was with no pod: it is read in the logs, for all sessions together that come at a time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
};

use crate::{
    broker::{Filter, Message, Trie, Wanters, queue::Limits},
    cluster::{Id, Logs, Place},
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
/// Readers whose places are in the same ten seconds read together.
const ABOUT: u64 = 10_000;
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
    /// No more than that, the latest ones.
    most: Limits,
    reply: oneshot::Sender<Result<Missed, Failure>>,
}

impl Between {
    /// Answers come as long as the future is run.
    pub(super) fn new(logs: Logs) -> (Self, impl Future<Output = ()>) {
        let (sender, wishes) = mpsc::channel(WAITING);
        (Self(sender), answer(logs, wishes))
    }

    /// What these filters want of the logs from these places on: no more than `most`, the latest ones.
    pub(super) async fn missed(
        &self,
        filters: &[Wanted],
        places: Vec<Place>,
        away: Duration,
        most: Limits,
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
fn keep_latest(messages: &mut Vec<(Id, Arc<Message>)>, most: Limits) {
    messages.sort_by_key(|(id, _)| *id);
    let mut bytes = 0;
    let latest = messages.iter().rev().take(most.messages);
    let fits = |(_, message): &&(Id, Arc<Message>)| {
        bytes += message.size();
        bytes <= most.bytes
    };
    let count = latest.take_while(fits).count();
    messages.drain(..messages.len() - count);
}

/// Messages of one session while the logs are read.
#[derive(Default)]
struct Found {
    messages: Vec<(Id, Arc<Message>)>,
    bytes: usize,
}

impl Found {
    fn add(&mut self, id: Id, message: Arc<Message>, most: Limits) {
        self.bytes += message.size();
        self.messages.push((id, message));
        if self.messages.len() > 2 * most.messages || self.bytes > 2 * most.bytes {
            keep_latest(&mut self.messages, most);
            let sizes = self.messages.iter().map(|(_, message)| message.size());
            self.bytes = sizes.sum();
        }
    }
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
    /// Who reads a log from where, in the order of their numbers.
    readers: Vec<Vec<(usize, Place)>>,
}

/// What one log has, for whom.
struct Part {
    /// By the number of the wish.
    found: HashMap<usize, Found>,
    readers: Vec<(usize, Place)>,
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
                // Those that were away for about as long are served at once.
                let about = (place.partition, place.mark, place.id.ms / ABOUT);
                readers.entry(about).or_default().push((number, *place));
            }
        }
        Self {
            wishes,
            wanted,
            readers: readers.into_values().collect(),
        }
    }

    async fn read(&self, logs: &Logs) -> Result<Vec<Missed>, Failure> {
        let mut all: Vec<_> = self.wishes.iter().map(|_| Missed::default()).collect();
        let mut parts = stream::iter(self.readers.clone())
            .map(async |readers| self.read_part(logs, readers).await)
            .buffered(LOGS);
        while let Some(part) = parts.try_next().await? {
            for (number, _) in part.readers {
                all[number].places.push(part.place);
                all[number].has_hole |= part.has_hole;
            }
            for (number, found) in part.found {
                let messages = &mut all[number].messages;
                messages.extend(found.messages);
                keep_latest(messages, self.wishes[number].most);
            }
        }
        Ok(all)
    }

    /// Reads one log, from the first place of all who want it on to where it ended when it was first looked at.
    async fn read_part(&self, logs: &Logs, readers: Vec<(usize, Place)>) -> Result<Part, Failure> {
        let places = readers.iter().map(|(_, place)| *place);
        let first = places.reduce(|one, other| if one.is_beyond(&other) { other } else { one });
        let away = readers.iter().map(|(number, _)| self.wishes[*number].away);
        let mut away = away.max().unwrap_or_default();
        let mut part = Part {
            found: HashMap::new(),
            place: first.expect("each log has a reader"),
            readers,
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
        for number in numbers {
            let reader = part
                .readers
                .binary_search_by_key(&number, |reader| reader.0);
            let place = reader.ok().map(|at| part.readers[at].1);
            if place.is_some_and(|place| place.has_before(id)) {
                let found = part.found.entry(number).or_default();
                found.add(id, message.clone(), self.wishes[number].most);
            }
        }
    }
}
