//! Logs: JSON in a pod, for people on a terminal.

use std::io::IsTerminal as _;

use config::LogFormat;
use tracing_subscriber::{
    EnvFilter, Registry, fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

/// The log of the process, whose level can be changed.
pub struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    /// Takes another level.
    pub fn set_level(&self, config: &config::Log) {
        if let Err(error) = self.0.reload(filter(config)) {
            tracing::error!(%error, "cannot change the level of the log");
        }
    }
}

/// Starts logging for the whole process, to standard error.
pub fn start(config: &config::Log) -> Log {
    let (filter, handle) = reload::Layer::new(filter(config));
    let terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::registry().with(filter);
    let text = fmt::layer().with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => log.with(text.with_ansi(terminal)).init(),
        LogFormat::Auto if terminal => log.with(text).init(),
        LogFormat::Auto | LogFormat::Json => log.with(text.json().flatten_event(true)).init(),
    }
    Log(handle)
}

/// What the configuration lets through is understood; what is not would only be left out.
fn filter(config: &config::Log) -> EnvFilter {
    // One tells of each file that is replaced, the others call for help over what a device does wrong.
    let quiet = "notify=warn,tokio_dtls=off,dimpl13=off";
    EnvFilter::new(format!("{quiet},{}", config.level.as_str()))
}
