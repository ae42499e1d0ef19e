//! Logs: JSON in a pod, for people on a terminal.

use std::io::IsTerminal as _;

use config::{Log, LogFormat};
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging for the whole process, to standard error.
pub fn start(config: &Log) {
    // What the configuration lets through is understood; what is not would only be left out.
    let filter = EnvFilter::new(config.level.as_str());
    let terminal = std::io::stderr().is_terminal();
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => log.with_ansi(terminal).init(),
        LogFormat::Auto if terminal => log.init(),
        LogFormat::Auto | LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
