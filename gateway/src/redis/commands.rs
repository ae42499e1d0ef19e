//! The connection of a server that takes commands: many are under way at once, and answered in order.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::Bytes;
use redis::{ServerErrorKind, Value};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{self, Instant, MissedTickBehavior},
};

use super::{
    Failure, Problem,
    wire::{Item, Wire},
};

/// How many commands are taken at once.
const BATCH: usize = 256;
/// No more commands are taken while so many bytes wait to be written.
const MOST_WAITING: usize = 1 << 20;
/// How often a connection is looked after.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// Who says nothing for so long is asked whether he is there.
pub(super) const PING_AFTER: Duration = Duration::from_secs(3);
/// What makes a cluster's node answer for a slot that it is about to get.
const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// The end of the connection that commands are put into.
pub(super) struct Commands {
    requests: mpsc::Sender<Request>,
    places: Arc<Semaphore>,
    /// How many may be under way at a time.
    pub(super) most: usize,
}

/// Some commands, one behind the other.
struct Request {
    packed: Bytes,
    asking: bool,
    reply: Reply,
}

/// Where their answers go, all at once.
struct Reply {
    to: oneshot::Sender<Vec<Value>>,
    answers: Vec<Value>,
    wanted: usize,
    places: OwnedSemaphorePermit,
}

/// The other end.
pub(super) struct Driver {
    wire: Wire,
    requests: mpsc::Receiver<Request>,
    places: Arc<Semaphore>,
    in_flight: VecDeque<InFlight>,
    /// Who does not answer for so long is gone.
    patience: Duration,
}

struct InFlight {
    since: Instant,
    /// Answers that nobody waits for come first.
    skipped: u8,
    reply: Option<Reply>,
}

/// Why a connection is left.
pub(super) enum Left {
    /// It broke, or was closed.
    Broken(io::Error),
    /// It says nothing any more.
    Silent,
    /// The server takes no writes any more.
    Demoted,
}

impl Left {
    /// The same as a problem with that server.
    pub(super) fn problem(self, address: Arc<str>) -> Problem {
        let what = match self {
            Self::Demoted => return Problem::Replica { address },
            Self::Silent => "it says nothing any more".into(),
            Self::Broken(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                "it was closed by the other side".into()
            }
            Self::Broken(error) => error.to_string().into(),
        };
        Problem::Ended { address, what }
    }
}

/// Both ends of a connection. At most `most` commands are under way at a time.
pub(super) fn commands(wire: Wire, most: u32, patience: Duration) -> (Commands, Driver) {
    let most = most as usize;
    let (sender, requests) = mpsc::channel(most);
    let places = Arc::new(Semaphore::new(most));
    let commands = Commands {
        requests: sender,
        places: places.clone(),
        most,
    };
    let driver = Driver {
        wire,
        requests,
        places,
        in_flight: VecDeque::new(),
        patience,
    };
    (commands, driver)
}

impl Commands {
    /// The answer to a command, which may be an error of the server's. Commands are sent in the order in which this is
    /// first polled beyond the wait for a place. `sent` is called once it may have left.
    pub(super) async fn ask(
        &self,
        packed: Bytes,
        asking: bool,
        sent: impl FnOnce(),
    ) -> Result<Value, Failure> {
        let answer = self.begin(packed, asking, 1).await?;
        sent();
        let answers = answer.await.ok();
        answers
            .and_then(|mut answers| answers.pop())
            .ok_or(Failure::Lost)
    }

    /// Where the answers to so many commands will be, which lie one behind the other; no more than `most`. They have left
    /// when this returns. Of a connection that breaks, the answers end with the last one that came.
    pub(super) async fn ask_all(
        &self,
        packed: Bytes,
        count: usize,
    ) -> Result<oneshot::Receiver<Vec<Value>>, Failure> {
        self.begin(packed, false, count).await
    }

    async fn begin(
        &self,
        packed: Bytes,
        asking: bool,
        count: usize,
    ) -> Result<oneshot::Receiver<Vec<Value>>, Failure> {
        let away = || Failure::Away(Problem::New);
        let wanted = u32::try_from(count).map_err(|_| away())?;
        let places = self.places.clone().acquire_many_owned(wanted).await;
        let (to, answers) = oneshot::channel();
        let reply = Reply {
            to,
            answers: Vec::with_capacity(count),
            wanted: count,
            places: places.map_err(|_| away())?,
        };
        let request = Request {
            packed,
            asking,
            reply,
        };
        // There is room for all that have a place.
        self.requests.try_send(request).map_err(|_| away())?;
        Ok(answers)
    }
}

impl Reply {
    /// Nothing more comes.
    fn end(self) {
        drop(self.places);
        // Whoever asked may have given up.
        let _ = self.to.send(self.answers);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Nobody waits for a place where nothing is sent any more.
        self.places.close();
        for reply in self.in_flight.drain(..).filter_map(|asked| asked.reply) {
            reply.end();
        }
    }
}

impl Driver {
    /// Carries commands and answers until the connection is to be left.
    pub(super) async fn run(&mut self) -> Left {
        let mut tick = time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            if let Err(left) = self.answer() {
                return left;
            }
            let has_room = self.wire.waiting() < MOST_WAITING;
            tokio::select! {
                biased;
                count = self.requests.recv_many(&mut batch, BATCH), if has_room => {
                    if count == 0 {
                        let closed = io::Error::other("nobody needs it any more");
                        return Left::Broken(closed);
                    }
                    for request in batch.drain(..) {
                        self.send(request);
                    }
                }
                moved = self.wire.moves() => {
                    if let Err(error) = moved {
                        // What came before the end is told all the same.
                        return self.answer().err().unwrap_or(Left::Broken(error));
                    }
                }
                _ = tick.tick() => {
                    if let Err(left) = self.look_after() {
                        return left;
                    }
                }
            }
        }
    }

    fn send(&mut self, request: Request) {
        if request.asking {
            self.wire.send(ASKING);
        }
        self.wire.send(&request.packed);
        self.in_flight.push_back(InFlight {
            since: Instant::now(),
            skipped: request.asking.into(),
            reply: Some(request.reply),
        });
    }

    /// Hands out the answers that have come.
    fn answer(&mut self) -> Result<(), Left> {
        let mut demoted = false;
        while let Some(item) = self.wire.next().map_err(Left::Broken)? {
            let value = match item {
                Item::Message { .. } | Item::Value(Value::Push { .. }) => continue,
                Item::Value(value) => value,
            };
            if let Value::ServerError(error) = &value {
                demoted |= error.kind() == Some(ServerErrorKind::ReadOnly);
            }
            match self.in_flight.front_mut() {
                Some(front) if front.skipped > 0 => front.skipped -= 1,
                Some(InFlight {
                    reply: Some(reply), ..
                }) if reply.answers.len() + 1 < reply.wanted => {
                    reply.answers.push(value);
                }
                Some(_) => {
                    let answered = self.in_flight.pop_front();
                    if let Some(mut reply) = answered.and_then(|answered| answered.reply) {
                        reply.answers.push(value);
                        reply.end();
                    }
                }
                None => return Err(Left::Broken(io::Error::other("an answer to no question"))),
            }
        }
        if demoted { Err(Left::Demoted) } else { Ok(()) }
    }

    fn look_after(&mut self) -> Result<(), Left> {
        match self.in_flight.front() {
            Some(oldest) if oldest.since.max(self.wire.heard).elapsed() > self.patience => {
                return Err(Left::Silent);
            }
            None if self.wire.heard.elapsed() > PING_AFTER => {
                self.wire.send(PING);
                self.in_flight.push_back(InFlight {
                    since: Instant::now(),
                    skipped: 0,
                    reply: None,
                });
            }
            _ => {}
        }
        Ok(())
    }
}
