//! The gateway's configuration.
