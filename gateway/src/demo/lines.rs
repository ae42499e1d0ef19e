//! The line protocol of the demo: `name`, `sub`, `unsub`, `pub`, `quit`, answered by `+ok` or `-err` and what to do.

use std::net::SocketAddr;

use bytes::Bytes;
use proto::exproto::{
    AuthenticateRequest, ClientInfo, CloseSocketRequest, CodeResponse, Message, PublishRequest,
    ResultCode, SendBytesRequest, SubscribeRequest, UnsubscribeRequest,
    connection_adapter_client::ConnectionAdapterClient,
};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

/// A line may be this long; a longer one ends the connection.
const LONGEST_LINE: usize = 4096;

/// The answer to a command that was done.
const OK: &str = "+ok";

/// What is known of a connection.
#[derive(Default)]
pub(super) struct Session {
    /// What it has sent of a line that has not ended yet.
    begun: Vec<u8>,
    /// It has said its name.
    named: bool,
}

/// One command.
#[derive(Debug, PartialEq, Eq)]
enum Command<'a> {
    Name(&'a str),
    Sub(&'a str),
    Unsub(&'a str),
    Pub(&'a str, &'a str),
    Quit,
    Unknown,
}

fn parse(line: &str) -> Command<'_> {
    let line = line.trim_end_matches('\r');
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match (word, rest) {
        ("name", name) if !name.is_empty() => Command::Name(name),
        ("sub", filter) if !filter.is_empty() => Command::Sub(filter),
        ("unsub", filter) if !filter.is_empty() => Command::Unsub(filter),
        ("pub", rest) => match rest.split_once(' ') {
            Some((topic, text)) if !topic.is_empty() => Command::Pub(topic, text),
            _ => Command::Unknown,
        },
        ("quit", "") => Command::Quit,
        _ => Command::Unknown,
    }
}

/// The rooms: what commands do, by calls of the adapter.
pub(super) struct Room {
    adapter: ConnectionAdapterClient<Channel>,
}

impl Room {
    pub(super) fn new(adapter: SocketAddr) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{adapter}"))?.connect_lazy();
        Ok(Self {
            adapter: ConnectionAdapterClient::new(channel),
        })
    }

    /// Bytes came: do what every whole line says.
    pub(super) async fn received(
        &self,
        conn: &str,
        session: &mut Session,
        bytes: &[u8],
    ) -> Result<(), Status> {
        session.begun.extend_from_slice(bytes);
        while let Some(end) = session.begun.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = session.begun.drain(..=end).take(end).collect();
            if line.len() > LONGEST_LINE {
                return self.too_long(conn, session).await;
            }
            let answer = match std::str::from_utf8(&line).map(parse) {
                Ok(Command::Quit) => return self.quit(conn).await,
                Ok(Command::Name(_)) if session.named => {
                    "-err you have a name; quit and connect again to take another".to_owned()
                }
                Ok(Command::Sub(_) | Command::Unsub(_) | Command::Pub(..)) if !session.named => {
                    "-err say who you are first: name <name>".to_owned()
                }
                Ok(command) => {
                    let names = matches!(command, Command::Name(_));
                    let answer = self.obey(conn, command).await?;
                    session.named |= names && answer == OK;
                    answer
                }
                Err(_) => "-err a line is UTF-8 text".to_owned(),
            };
            self.say(conn, &answer).await?;
        }
        if session.begun.len() > LONGEST_LINE {
            return self.too_long(conn, session).await;
        }
        Ok(())
    }

    async fn too_long(&self, conn: &str, session: &mut Session) -> Result<(), Status> {
        session.begun = Vec::new();
        let answer = format!("-err a line has at most {LONGEST_LINE} bytes");
        self.say(conn, &answer).await?;
        self.quit(conn).await
    }

    /// Messages came for a subscriber.
    pub(super) async fn deliver(&self, conn: &str, messages: &[Message]) -> Result<(), Status> {
        for message in messages {
            let text = String::from_utf8_lossy(&message.payload);
            let line = format!("{} {}: {text}", message.topic, message.from);
            self.say(conn, &line).await?;
        }
        Ok(())
    }

    async fn obey(&self, conn: &str, command: Command<'_>) -> Result<String, Status> {
        let mut adapter = self.adapter.clone();
        let conn = conn.to_owned();
        let answer = match command {
            Command::Name(name) => {
                adapter
                    .authenticate(AuthenticateRequest {
                        conn,
                        clientinfo: Some(ClientInfo {
                            proto_name: "demo".to_owned(),
                            proto_ver: "1".to_owned(),
                            clientid: name.to_owned(),
                            ..ClientInfo::default()
                        }),
                        password: String::new(),
                    })
                    .await
            }
            Command::Sub(filter) => {
                let topic = filter.to_owned();
                adapter
                    .subscribe(SubscribeRequest {
                        conn,
                        topic,
                        qos: 0,
                    })
                    .await
            }
            Command::Unsub(filter) => {
                let topic = filter.to_owned();
                adapter
                    .unsubscribe(UnsubscribeRequest { conn, topic })
                    .await
            }
            Command::Pub(topic, text) => {
                let (topic, payload) = (topic.to_owned(), Bytes::from(text.to_owned()));
                adapter
                    .publish(PublishRequest {
                        conn,
                        topic,
                        qos: 0,
                        payload,
                    })
                    .await
            }
            Command::Quit | Command::Unknown => {
                return Ok("-err say one of: name <name>, sub <filter>, unsub <filter>, pub <topic> <text>, quit".to_owned());
            }
        };
        answer.map(said)
    }

    async fn quit(&self, conn: &str) -> Result<(), Status> {
        let conn = conn.to_owned();
        self.adapter
            .clone()
            .close(CloseSocketRequest { conn })
            .await?;
        Ok(())
    }

    async fn say(&self, conn: &str, line: &str) -> Result<(), Status> {
        let request = SendBytesRequest {
            conn: conn.to_owned(),
            bytes: Bytes::from(format!("{line}\n")),
        };
        self.adapter.clone().send(request).await?;
        Ok(())
    }
}

fn said(answer: Response<CodeResponse>) -> String {
    let answer = answer.into_inner();
    match answer.code() {
        ResultCode::Success => OK.to_owned(),
        _ => format!("-err {}", answer.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        assert_eq!(parse("name truck-1"), Command::Name("truck-1"));
        assert_eq!(parse("sub room/1\r"), Command::Sub("room/1"));
        assert_eq!(
            parse("pub room/1 hello there"),
            Command::Pub("room/1", "hello there")
        );
        assert_eq!(parse("unsub room/1"), Command::Unsub("room/1"));
        assert_eq!(parse("quit"), Command::Quit);
    }

    #[test]
    fn anything_else_is_not() {
        for line in [
            "",
            "name",
            "name ",
            "sub",
            "pub room/1",
            "quit now",
            "hello",
        ] {
            assert_eq!(parse(line), Command::Unknown, "{line}");
        }
    }
}
