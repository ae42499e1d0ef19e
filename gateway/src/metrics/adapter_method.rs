//! The adapter's methods: the one list of them, and which command of an ordered stream stands for which.

use proto::stream::command::Kind;

/// A method of the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterMethod {
    /// Bytes for the device.
    Send,
    /// The end.
    Close,
    /// Who the device is.
    Authenticate,
    /// The keepalive.
    StartTimer,
    /// A message of the client.
    Publish,
    /// Messages for the client.
    Subscribe,
    /// No more of them.
    Unsubscribe,
    /// A message of nobody.
    RawPublish,
}

impl AdapterMethod {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Each of them; its place here is its number.
    pub const ALL: [Self; 8] = [
        Self::Send,
        Self::Close,
        Self::Authenticate,
        Self::StartTimer,
        Self::Publish,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::RawPublish,
    ];

    /// As gRPC, logs and a metric's label have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "Send",
            Self::Close => "Close",
            Self::Authenticate => "Authenticate",
            Self::StartTimer => "StartTimer",
            Self::Publish => "Publish",
            Self::Subscribe => "Subscribe",
            Self::Unsubscribe => "Unsubscribe",
            Self::RawPublish => "RawPublish",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.as_str() == name)
    }

    /// The one that a command stands for; none for the state, which stays in the stream.
    #[must_use]
    pub fn of(command: &Kind) -> Option<Self> {
        Some(match command {
            Kind::Send(_) => Self::Send,
            Kind::Close(_) => Self::Close,
            Kind::Authenticate(_) => Self::Authenticate,
            Kind::StartTimer(_) => Self::StartTimer,
            Kind::Publish(_) => Self::Publish,
            Kind::Subscribe(_) => Self::Subscribe,
            Kind::Unsubscribe(_) => Self::Unsubscribe,
            Kind::RawPublish(_) => Self::RawPublish,
            Kind::State(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proto::stream::{Authenticate, Close, Publish, StartTimer, Subscribe};

    use super::*;

    #[test]
    fn each_has_its_place_its_name_and_its_command() {
        let commands = [
            Kind::Send("".into()),
            Kind::Close(Close {}),
            Kind::Authenticate(Authenticate::default()),
            Kind::StartTimer(StartTimer::default()),
            Kind::Publish(Publish::default()),
            Kind::Subscribe(Subscribe::default()),
            Kind::Unsubscribe(String::new()),
            Kind::RawPublish(Publish::default()),
        ];
        for (place, (method, command)) in AdapterMethod::ALL.into_iter().zip(&commands).enumerate()
        {
            assert_eq!(method as usize, place);
            assert_eq!(AdapterMethod::named(method.as_str()), Some(method));
            assert_eq!(AdapterMethod::of(command), Some(method));
        }
        assert_eq!(AdapterMethod::named("State"), None);
        assert_eq!(AdapterMethod::of(&Kind::State("".into())), None);
    }
}
