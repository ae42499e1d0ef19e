//! How servers of one kind are reached: over TCP or TLS, by which user. Files are read again for each connection; what
//! has become unusable is complained about, and what was read before stays in use.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use redis::{FromRedisValue as _, Value};
use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, task, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    Error, Problem,
    wire::{Stream, Wire},
};
use crate::{services::secret, tls};

/// When the system asks a silent server whether it is there, and how often then.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
}

impl Address {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let host = host.into();
        Self { host, port }
    }

    pub(super) fn text(&self) -> Arc<str> {
        self.to_string().into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(to, "[{}]:{}", self.host, self.port)
        } else {
            write!(to, "{}:{}", self.host, self.port)
        }
    }
}

impl From<&config::RedisUrl> for Address {
    fn from(url: &config::RedisUrl) -> Self {
        Self::new(url.host(), url.port())
    }
}

/// What is needed to reach servers of one kind.
pub(super) struct Access {
    files: Files,
    loaded: ArcSwap<Loaded>,
    complained: Mutex<String>,
    connect_timeout: Duration,
    /// What the system gives a server to take bytes.
    user_timeout: Duration,
    /// The settings of the login, for whoever has to correct them.
    fields: &'static str,
}

struct Files {
    username: Option<String>,
    password: Option<PathBuf>,
    secure: bool,
    ca: Option<PathBuf>,
    certificate: Option<config::Certificate>,
}

struct Loaded {
    password: Option<String>,
    tls: Option<Arc<ClientConfig>>,
}

/// What a server says of itself.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) version: String,
    pub(super) mode: String,
    pub(super) role: String,
}

impl Access {
    /// To servers. Blocks for as long as the files take to read.
    pub(super) fn to_servers(config: &config::Redis) -> Result<Arc<Self>, Error> {
        let login = (&config.username, &config.password_file);
        Self::new(config, login, "redis.username and redis.password_file")
    }

    /// To sentinels. Blocks for as long as the files take to read.
    pub(super) fn to_sentinels(config: &config::Redis) -> Result<Arc<Self>, Error> {
        let login = (&config.sentinel.username, &config.sentinel.password_file);
        let fields = "redis.sentinel.username and redis.sentinel.password_file";
        Self::new(config, login, fields)
    }

    fn new(
        config: &config::Redis,
        (username, password): (&Option<String>, &Option<PathBuf>),
        fields: &'static str,
    ) -> Result<Arc<Self>, Error> {
        let files = Files {
            username: username.clone(),
            password: password.clone(),
            secure: config.urls.iter().any(config::RedisUrl::is_secure),
            ca: config.ca_file.clone(),
            certificate: config.certificate.clone(),
        };
        Ok(Arc::new(Self {
            loaded: ArcSwap::from_pointee(files.load()?),
            files,
            complained: Mutex::default(),
            connect_timeout: config.connect_timeout,
            user_timeout: config.timeout * 2,
            fields,
        }))
    }

    /// Who the server takes us for.
    pub(super) fn user(&self) -> &str {
        self.files.username.as_deref().unwrap_or("default")
    }

    /// Connects and logs in.
    pub(super) async fn open(
        self: &Arc<Self>,
        address: &Address,
    ) -> Result<(Wire, Greeting), Problem> {
        let access = self.clone();
        let complaint = task::spawn_blocking(move || access.reload()).await;
        if let Ok(Some(error)) = complaint {
            tracing::warn!(
                error,
                "a file of the link to Redis cannot be used; what was read before is"
            );
        }
        let opened = timeout(self.connect_timeout, self.open_now(address)).await;
        opened.unwrap_or_else(|_| {
            Err(Problem::Unreachable {
                address: address.text(),
                what: format!("no answer within {:?}", self.connect_timeout).into(),
            })
        })
    }

    /// What is to be said of it, if that was not said before.
    fn reload(&self) -> Option<String> {
        let mut complained = self.complained.lock();
        match self.files.load() {
            Ok(loaded) => {
                complained.clear();
                self.loaded.store(Arc::new(loaded));
                None
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                let new = *complained != error;
                complained.clone_from(&error);
                new.then_some(error)
            }
        }
    }

    async fn open_now(&self, address: &Address) -> Result<(Wire, Greeting), Problem> {
        let failed = |error: io::Error| ended(address, &error);
        let tcp = TcpStream::connect((&*address.host, address.port)).await;
        let tcp = tcp.map_err(failed)?;
        self.tune(&tcp).map_err(failed)?;
        let loaded = self.loaded.load_full();
        let stream: Box<dyn Stream> = match &loaded.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(address.host.to_string());
                let name = name.map_err(|error| failed(io::Error::other(error)))?;
                let handshake = TlsConnector::from(tls.clone()).connect(name, tcp);
                Box::new(handshake.await.map_err(failed)?)
            }
        };
        let mut wire = Wire::new(stream);
        let greeting = self.greet(&mut wire, address, &loaded).await?;
        Ok((wire, greeting))
    }

    fn tune(&self, tcp: &TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let socket = SockRef::from(tcp);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(self.user_timeout))?;
        Ok(())
    }

    async fn greet(
        &self,
        wire: &mut Wire,
        address: &Address,
        loaded: &Loaded,
    ) -> Result<Greeting, Problem> {
        let mut hello = redis::cmd("HELLO");
        hello.arg(3);
        if let Some(password) = &loaded.password {
            hello.arg("AUTH").arg(self.user()).arg(password);
        }
        hello.arg("SETNAME").arg("exproto");
        let answer = wire.ask(&hello).await;
        match answer.map_err(|error| ended(address, &error))? {
            Value::ServerError(error) => Err(self.turned_away(address, &error)),
            Value::Map(entries) => Ok(Greeting::of(&entries)),
            other => Err(unexpected(address, &other)),
        }
    }

    fn turned_away(&self, address: &Address, error: &redis::ServerError) -> Problem {
        let what = format!("{} {}", error.code(), error.details().unwrap_or_default());
        let address = address.text();
        match error.code() {
            "WRONGPASS" | "NOAUTH" | "NOPERM" | "DENIED" => Problem::Login {
                address,
                what: what.into(),
                fields: self.fields,
            },
            "ERR" if what.contains("unknown command") => Problem::TooOld {
                address,
                found: "older than 6.0".into(),
            },
            _ => Problem::Unreachable {
                address,
                what: what.into(),
            },
        }
    }
}

impl Files {
    fn load(&self) -> Result<Loaded, Error> {
        let password = self.password.as_deref().map(secret).transpose()?;
        let tls = if self.secure {
            let (tls, out_of_time) =
                tls::client::config(self.ca.as_deref(), self.certificate.as_ref())?;
            for error in out_of_time {
                tracing::warn!(%error, "what is shown to Redis will be refused");
            }
            Some(Arc::new(tls))
        } else {
            None
        };
        Ok(Loaded { password, tls })
    }
}

impl Greeting {
    fn of(entries: &[(Value, Value)]) -> Self {
        let get = |name: &str| {
            let entry = entries
                .iter()
                .find(|(key, _)| String::from_redis_value_ref(key).is_ok_and(|key| key == name));
            entry
                .and_then(|(_, value)| String::from_redis_value_ref(value).ok())
                .unwrap_or_default()
        };
        Self {
            version: get("version"),
            mode: get("mode"),
            role: get("role"),
        }
    }
}

/// Why a connection has ended, or could not be made.
pub(super) fn ended(address: &Address, error: &io::Error) -> Problem {
    let address = address.text();
    let cause = error.get_ref();
    if let Some(error) = cause.and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        let what = error.to_string().into();
        return Problem::Tls { address, what };
    }
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it was closed by the other side".into(),
        _ => error.to_string().into(),
    };
    Problem::Unreachable { address, what }
}

pub(super) fn unexpected(address: &Address, answer: &Value) -> Problem {
    /// More of it helps nobody.
    const SHOWN: usize = 200;
    let what = match answer {
        Value::ServerError(error) => {
            format!("{} {}", error.code(), error.details().unwrap_or_default())
        }
        other => format!("{other:?}"),
    };
    Problem::Unexpected {
        address: address.text(),
        what: what.chars().take(SHOWN).collect::<String>().into(),
    }
}
