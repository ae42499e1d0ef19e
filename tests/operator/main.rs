//! The operator as its user has it.

/// With a real API server.
mod api_server;
