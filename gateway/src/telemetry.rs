//! Logs: JSON in a pod, for people on a terminal.

use std::io::IsTerminal as _;

use config::{Log, LogFormat};
use tracing_subscriber::{EnvFilter, fmt};

/// The log level is not understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "log.level: \"{level}\" is no filter ({source}); write for example info or info,exproto_gateway=debug"
)]
pub struct Error {
    level: String,
    source: tracing_subscriber::filter::ParseError,
}

/// What `log.level` lets through.
pub fn filter(config: &Log) -> Result<EnvFilter, Error> {
    let level = config.level.as_str();
    EnvFilter::try_new(level).map_err(|source| Error {
        level: level.to_owned(),
        source,
    })
}

/// Starts logging for the whole process, to standard error.
pub fn start(config: &Log) -> Result<(), Error> {
    let filter = filter(config)?;
    let terminal = std::io::stderr().is_terminal();
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => log.with_ansi(terminal).init(),
        LogFormat::Auto if terminal => log.init(),
        LogFormat::Auto | LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
