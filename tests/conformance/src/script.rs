//! What a device of the user's protocol says, and what must come back: the kit cannot know it, so the user writes it.

use std::{fs, path::Path};

use serde::Deserialize;

/// A script of a protocol. `{n}` in its texts is the number of the device, from 1 on, so that each device says and hears
/// something of its own.
#[derive(Clone, Debug)]
pub struct Script {
    /// How the handler is given bytes.
    pub boundaries: Boundaries,
    /// What each device says first.
    pub login: Vec<Exchange>,
    /// Who a connection is after that, if the handler authenticates it.
    pub clientid: Option<String>,
    /// What it says then.
    pub exchanges: Vec<Exchange>,
    /// Messages for it, and what it is told of them.
    pub messages: Vec<Delivery>,
    /// What makes the handler close the connection.
    pub farewell: Option<Exchange>,
}

/// What is known of the pieces in which bytes come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boundaries {
    /// Nothing: a stream, cut anywhere.
    #[default]
    None,
    /// Each `send` is one OnReceivedBytes: a datagram, or a frame that the gateway's framing has cut.
    Kept,
}

/// Bytes of a device, and what must come back for them: nothing, if `reply` is absent.
#[derive(Clone, Debug)]
pub struct Exchange {
    send: Text,
    reply: Text,
}

/// A message for a client, and what its device must be told.
#[derive(Clone, Debug)]
pub struct Delivery {
    topic: String,
    payload: Text,
    reply: Text,
}

/// Text with `{n}` in it, or bytes as they are.
#[derive(Clone, Debug)]
enum Text {
    Pattern(String),
    Bytes(Vec<u8>),
}

/// What is wrong with a script.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the script {path}")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It is no YAML, or has a field that there is not.
    #[error("the script {path} is not one: {problem}")]
    Parse {
        /// Its path.
        path: String,
        /// What, and where.
        problem: String,
    },
    /// A field cannot be used.
    #[error("the script {path}: {field}: {problem}")]
    Field {
        /// Its path.
        path: String,
        /// The field.
        field: String,
        /// What is wrong, and what to write.
        problem: &'static str,
    },
}

impl Script {
    /// A script from its file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|cause| Error::Read {
            path: name.clone(),
            cause,
        })?;
        Self::parse(&text, &name)
    }

    /// A script from its text; `path` is what errors call it.
    pub fn parse(text: &str, path: &str) -> Result<Self, Error> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| Error::Parse {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        file.script().map_err(|(field, problem)| Error::Field {
            path: path.to_owned(),
            field,
            problem,
        })
    }
}

impl Default for Script {
    /// Lines that come back as they are.
    fn default() -> Self {
        let line = |text: &str| Exchange {
            send: Text::Pattern(text.to_owned()),
            reply: Text::Pattern(text.to_owned()),
        };
        Self {
            boundaries: Boundaries::None,
            login: Vec::new(),
            clientid: None,
            exchanges: vec![line("device {n} says hello\n"), line("and again: {n}\n")],
            messages: Vec::new(),
            farewell: None,
        }
    }
}

impl Exchange {
    /// What device `number` sends.
    #[must_use]
    pub fn send(&self, number: u32) -> Vec<u8> {
        self.send.of(number)
    }

    /// What must come back to it.
    #[must_use]
    pub fn reply(&self, number: u32) -> Vec<u8> {
        self.reply.of(number)
    }
}

impl Delivery {
    /// The topic of the message for device `number`.
    #[must_use]
    pub fn topic(&self, number: u32) -> String {
        numbered(&self.topic, number)
    }

    /// Its payload.
    #[must_use]
    pub fn payload(&self, number: u32) -> Vec<u8> {
        self.payload.of(number)
    }

    /// What the device must be told.
    #[must_use]
    pub fn reply(&self, number: u32) -> Vec<u8> {
        self.reply.of(number)
    }
}

/// The text for device `number`.
#[must_use]
pub fn numbered(pattern: &str, number: u32) -> String {
    pattern.replace("{n}", &number.to_string())
}

impl Text {
    fn of(&self, number: u32) -> Vec<u8> {
        match self {
            Self::Pattern(text) => numbered(text, number).into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Pattern(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

/// The script as its file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    boundaries: Boundaries,
    #[serde(default)]
    login: Vec<ExchangeEntry>,
    clientid: Option<String>,
    exchanges: Vec<ExchangeEntry>,
    #[serde(default)]
    messages: Vec<DeliveryEntry>,
    farewell: Option<ExchangeEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeEntry {
    send: Option<String>,
    send_hex: Option<String>,
    reply: Option<String>,
    reply_hex: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveryEntry {
    topic: String,
    payload: Option<String>,
    payload_hex: Option<String>,
    reply: Option<String>,
    reply_hex: Option<String>,
}

/// A field, and what is wrong with it.
type Problem = (String, &'static str);

impl File {
    fn script(self) -> Result<Script, Problem> {
        if self.exchanges.is_empty() {
            return Err(("exchanges".to_owned(), "is empty; write one or more"));
        }
        if self.clientid.as_deref() == Some("") {
            return Err((
                "clientid".to_owned(),
                "is empty; leave it out where there is none",
            ));
        }
        let farewell = self.farewell.map(|entry| entry.exchange("farewell"));
        let deliveries = self.messages.into_iter().enumerate();
        let messages =
            deliveries.map(|(index, entry)| entry.delivery(&format!("messages[{index}]")));
        Ok(Script {
            boundaries: self.boundaries,
            login: exchanges("login", self.login)?,
            clientid: self.clientid,
            exchanges: exchanges("exchanges", self.exchanges)?,
            messages: messages.collect::<Result<_, _>>()?,
            farewell: farewell.transpose()?,
        })
    }
}

fn exchanges(field: &str, entries: Vec<ExchangeEntry>) -> Result<Vec<Exchange>, Problem> {
    let entries = entries.into_iter().enumerate();
    let each = entries.map(|(index, entry)| entry.exchange(&format!("{field}[{index}]")));
    each.collect()
}

impl ExchangeEntry {
    fn exchange(self, at: &str) -> Result<Exchange, Problem> {
        let send = text(at, "send", self.send, self.send_hex)?;
        if send.is_empty() {
            return Err((
                at.to_owned(),
                "has no bytes to send; write send or send_hex",
            ));
        }
        let reply = text(at, "reply", self.reply, self.reply_hex)?;
        Ok(Exchange { send, reply })
    }
}

impl DeliveryEntry {
    fn delivery(self, at: &str) -> Result<Delivery, Problem> {
        Ok(Delivery {
            topic: self.topic,
            payload: text(at, "payload", self.payload, self.payload_hex)?,
            reply: text(at, "reply", self.reply, self.reply_hex)?,
        })
    }
}

fn text(at: &str, field: &str, text: Option<String>, hex: Option<String>) -> Result<Text, Problem> {
    match (text, hex) {
        (Some(_), Some(_)) => Err((
            format!("{at}.{field}"),
            "is there as text and as hex; write one",
        )),
        (text, None) => Ok(Text::Pattern(text.unwrap_or_default())),
        (None, Some(digits)) => match bytes(&digits) {
            Some(bytes) => Ok(Text::Bytes(bytes)),
            None => Err((
                format!("{at}.{field}_hex"),
                "is not hex; write two digits for each byte",
            )),
        },
    }
}

/// Bytes of two hexadecimal digits each; blanks between them are skipped.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits
        .chars()
        .filter(|each| !each.is_whitespace())
        .map(|each| each.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| Some(pair[0] << 4 | pair.get(1)?))
        .collect()
}

#[cfg(test)]
mod tests;
