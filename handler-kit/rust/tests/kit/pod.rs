//! A pod's side of one stream.

use std::net::SocketAddr;

use proto::stream::{
    Ack, Attach, Closed, Command, Event, GatewayBatch, GatewayHello, HandlerBatch,
    connection_stream_client::ConnectionStreamClient, event::Kind,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::soon;

pub(crate) fn hello() -> GatewayHello {
    GatewayHello {
        version: 1,
        pod: "pod".to_owned(),
        epoch: 7,
        max_commands: 1024,
        max_command_bytes: 4 * 1024 * 1024,
        max_batch_bytes: 4 * 1024 * 1024,
        heartbeat_ms: 60_000,
        ..GatewayHello::default()
    }
}

/// A stream. Dropped, it breaks.
pub(crate) struct Lane {
    say: mpsc::Sender<GatewayBatch>,
    hear: Streaming<HandlerBatch>,
    pub instance: String,
    /// All that was heard.
    pub batches: Vec<HandlerBatch>,
}

impl Lane {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::with(address, hello()).await.unwrap()
    }

    pub(crate) async fn with(address: SocketAddr, hello: GatewayHello) -> Result<Self, Status> {
        let mut client = ConnectionStreamClient::connect(format!("http://{address}"))
            .await
            .unwrap()
            .max_decoding_message_size(8 * 1024 * 1024);
        let (say, said) = mpsc::channel(100);
        say.try_send(GatewayBatch {
            hello: Some(hello),
            ..GatewayBatch::default()
        })
        .unwrap();
        let stream = client.run(ReceiverStream::new(said)).await?;
        let mut hear = stream.into_inner();
        let first = soon("hello", hear.message()).await?;
        let hello = first.and_then(|batch| batch.hello).unwrap();
        Ok(Self {
            say,
            hear,
            instance: hello.instance,
            batches: Vec::new(),
        })
    }

    pub(crate) async fn say(&self, batch: GatewayBatch) {
        self.say.send(batch).await.unwrap();
    }

    pub(crate) async fn attach(&self, attach: Attach) {
        self.say(GatewayBatch {
            attaches: vec![attach],
            ..GatewayBatch::default()
        })
        .await;
    }

    /// The device of `conn` has sent these, from event `first` on.
    pub(crate) async fn bytes(&self, conn: u64, first: u64, words: &[&'static str]) {
        let events = words.iter().zip(first..).map(|(word, seq)| Event {
            conn,
            seq,
            kind: Some(Kind::Bytes(word.as_bytes().into())),
            ..Event::default()
        });
        self.say(GatewayBatch {
            events: events.collect(),
            ..GatewayBatch::default()
        })
        .await;
    }

    pub(crate) async fn close(&self, conn: u64, seq: u64) {
        let reason = "tcp_closed".to_owned();
        let event = Event {
            conn,
            seq,
            kind: Some(Kind::Closed(Closed { reason })),
            ..Event::default()
        };
        self.say(GatewayBatch {
            events: vec![event],
            ..GatewayBatch::default()
        })
        .await;
    }

    /// Event `seq`: the command was carried out.
    pub(crate) async fn result(&self, conn: u64, seq: u64, command: u64) {
        let result = proto::stream::Result {
            command,
            ..proto::stream::Result::default()
        };
        let event = Event {
            conn,
            seq,
            kind: Some(Kind::Result(result)),
            ..Event::default()
        };
        self.say(GatewayBatch {
            events: vec![event],
            ..GatewayBatch::default()
        })
        .await;
    }

    /// The next batch; an error where the stream ends.
    pub(crate) async fn next(&mut self) -> Result<(), Status> {
        let batch = soon("a batch", self.hear.message()).await?;
        let batch = batch.ok_or_else(|| Status::ok("the end"))?;
        self.batches.push(batch);
        Ok(())
    }

    /// Hears until that acknowledgement has come.
    pub(crate) async fn until_acked(&mut self, conn: u64, seq: u64) -> Ack {
        self.until(|lane| {
            let mut acks = lane.acks(conn);
            acks.find(|ack| ack.seq >= seq).cloned()
        })
        .await
    }

    /// Hears until a failure of the connection was told.
    pub(crate) async fn until_failed(&mut self, conn: u64) -> Ack {
        self.until(|lane| {
            let mut acks = lane.acks(conn);
            acks.find(|ack| !ack.error.is_empty()).cloned()
        })
        .await
    }

    pub(crate) async fn until<T>(&mut self, find: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            self.next().await.unwrap();
        }
    }

    pub(crate) fn acks(&self, conn: u64) -> impl Iterator<Item = &Ack> {
        let acks = self.batches.iter().flat_map(|batch| &batch.acks);
        acks.filter(move |ack| ack.conn == conn)
    }

    pub(crate) fn commands(&self, conn: u64) -> impl Iterator<Item = &Command> {
        let commands = self.batches.iter().flat_map(|batch| &batch.commands);
        commands.filter(move |command| command.conn == conn)
    }
}

pub(crate) fn first(conn: u64) -> Attach {
    Attach {
        conn,
        id: format!("conn-{conn}"),
        attempt: 1,
        ..Attach::default()
    }
}

/// It is attached again, where that process was the last that acted for it.
pub(crate) fn again(conn: u64, attempt: u32, instance: &str) -> Attach {
    Attach {
        attempt,
        instance: instance.to_owned(),
        ..first(conn)
    }
}
