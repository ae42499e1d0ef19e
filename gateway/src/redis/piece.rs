//! Commands that leave in one piece: one place in a queue, one wait and one wake-up for all of them. To each server they
//! leave in their order, whatever else is under way.

use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
};

use bytes::{Bytes, BytesMut};
use redis::Value;
use tokio::{
    sync::oneshot::Receiver,
    time::{Instant, timeout},
};

use super::{
    Failure, Link, Problem, Script,
    carry::{goes_elsewhere, outcome_of},
    node::{Map, Node},
    slots::slot_of,
    wire::pack,
};

/// What became of a command.
pub type Answer = Result<Value, Failure>;

/// Commands that leave together.
pub struct Piece {
    publishes_by: &'static str,
    packed: BytesMut,
    commands: Vec<Packed>,
}

/// One of them.
struct Packed {
    slot: u16,
    /// Where it ends.
    end: usize,
}

/// Those that one server gets.
struct Part {
    node: Arc<Node>,
    /// Which ones they are.
    places: Vec<usize>,
    packed: BytesMut,
    /// Where each ends.
    ends: Vec<usize>,
}

/// Commands that have left, and where their answers will be.
struct Left {
    places: Vec<usize>,
    answers: Receiver<Vec<Value>>,
}

impl Piece {
    /// Publishes a payload, which is given in parts.
    pub fn publish(&mut self, channel: &str, payload: &[&[u8]]) {
        let parts: [&[&[u8]]; 3] = [
            &[self.publishes_by.as_bytes()],
            &[channel.as_bytes()],
            payload,
        ];
        pack(&mut self.packed, &parts);
        self.ends(channel);
    }

    /// Calls a script by its name. A server that does not know it refuses that with `NOSCRIPT`; [`Link::script`] teaches
    /// it.
    pub fn script(&mut self, script: &Script, keys: &[&str], arguments: &[&[u8]]) {
        self.packed
            .extend_from_slice(&script.by_name(keys, arguments));
        self.ends(keys.first().copied().unwrap_or_default());
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    fn ends(&mut self, key: &str) {
        self.commands.push(Packed {
            slot: slot_of(key.as_bytes()),
            end: self.packed.len(),
        });
    }

    fn range(&self, place: usize) -> Range<usize> {
        let before = place.checked_sub(1).map(|before| &self.commands[before]);
        before.map_or(0, |before| before.end)..self.commands[place].end
    }

    /// What each server gets.
    fn parts(&self, map: &Map) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for place in 0..self.commands.len() {
            let Some(node) = map.owner(self.commands[place].slot) else {
                continue;
            };
            let known = parts
                .iter()
                .position(|part| Arc::ptr_eq(&part.node, node))
                .unwrap_or_else(|| {
                    parts.push(Part {
                        node: node.clone(),
                        places: Vec::new(),
                        packed: BytesMut::new(),
                        ends: Vec::new(),
                    });
                    parts.len() - 1
                });
            let part = &mut parts[known];
            part.packed
                .extend_from_slice(&self.packed[self.range(place)]);
            part.places.push(place);
            part.ends.push(part.packed.len());
        }
        parts
    }
}

impl Link {
    /// An empty piece for this link.
    #[must_use]
    pub fn piece(&self) -> Piece {
        Piece {
            publishes_by: self.publishes_by(),
            packed: BytesMut::new(),
            commands: Vec::new(),
        }
    }

    /// Has all of it carried out; one answer for each command, in their order.
    pub async fn send(&self, piece: Piece) -> Vec<Answer> {
        if piece.is_empty() {
            return Vec::new();
        }
        let (begun, limit) = (Instant::now(), self.shared.timeout);
        let mut answers: Vec<Option<Answer>> = Vec::new();
        answers.resize_with(piece.commands.len(), || None);
        let _ = timeout(limit, async {
            self.send_at_once(&piece, &mut answers).await;
            self.send_again(&piece, &mut answers).await;
        })
        .await;
        let late = || Failure::TimedOut { limit, sent: true };
        let answers = answers.into_iter().map(|answer| match answer {
            Some(answer) => answer,
            None => Err(late()),
        });
        let answers: Vec<_> = answers.collect();
        let outcomes = answers.iter().map(outcome_of);
        self.shared.metrics.commands(outcomes, begun.elapsed());
        answers
    }

    async fn send_at_once(&self, piece: &Piece, answers: &mut [Option<Answer>]) {
        let map = self.shared.map.load_full();
        if !*self.shared.identified.borrow() {
            let why = || Failure::Away(map.trouble().unwrap_or(Problem::New));
            answers.fill_with(|| Some(Err(why())));
            return;
        }
        let mut left = Vec::new();
        for part in piece.parts(&map) {
            part.leave(&mut left, answers).await;
        }
        for Left {
            places,
            answers: told,
        } in left
        {
            let mut told = told.await.unwrap_or_default().into_iter();
            for place in places {
                answers[place] = match told.next() {
                    Some(Value::ServerError(error)) if goes_elsewhere(&error) => None,
                    Some(Value::ServerError(error)) => Some(Err(Failure::refused(&error))),
                    Some(value) => Some(Ok(value)),
                    None => Some(Err(Failure::Lost)),
                };
            }
        }
    }

    /// Sends those that their servers were not the right ones for, or not ready: one after the other, as that is rare.
    async fn send_again(&self, piece: &Piece, answers: &mut [Option<Answer>]) {
        let unanswered = (0..answers.len()).filter(|place| answers[*place].is_none());
        for place in unanswered.collect::<Vec<_>>() {
            let packed = Bytes::copy_from_slice(&piece.packed[piece.range(place)]);
            let slot = piece.commands[place].slot;
            let sent = AtomicBool::new(false);
            let answer = self.carry_at_last(slot, packed, &sent).await;
            answers[place] = Some(answer);
        }
    }
}

impl Part {
    /// Puts them into the queue of their server, as many at a time as may be under way there.
    async fn leave(mut self, left: &mut Vec<Left>, answers: &mut [Option<Answer>]) {
        let commands = self.node.commands.load_full();
        let most = commands.as_ref().map_or(usize::MAX, |each| each.most);
        let mut begin = 0;
        let chunks = self.places.chunks(most).zip(self.ends.chunks(most));
        for (places, ends) in chunks {
            let end = ends.last().copied().unwrap_or(begin);
            let packed = self.packed.split_to(end - begin).freeze();
            begin = end;
            let asked = match &commands {
                Some(commands) => commands.ask_all(packed, places.len()).await.ok(),
                None => None,
            };
            if let Some(told) = asked {
                let places = places.to_vec();
                left.push(Left {
                    places,
                    answers: told,
                });
            } else {
                for place in places {
                    answers[*place] = Some(Err(Failure::Away(self.node.away())));
                }
            }
        }
    }
}
