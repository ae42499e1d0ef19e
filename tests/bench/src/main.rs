//! Load generator: the gateway's speed and memory, beside those of a bare program in the same run.
//!
//! The process that a person starts orchestrates and generates the load ([`echo`], [`idle`]); what it measures and
//! the handlers are processes of their own, so that their CPU time and memory can be told apart.

/// Round trips per second, latency and CPU time, in alternating rounds.
mod echo;
/// Memory per idle connection.
mod idle;

/// The devices: connections which write payloads and wait for their echo.
mod generator;
/// Latencies, counted in buckets.
mod histogram;
/// Medians of rounds, as JSON and as a table.
mod report;

/// What is measured: the gateway or the ceiling, running, with a handler of its own.
mod subject;
/// The gateway's executable, its configuration and its readiness.
mod gateway;
/// Hidden subcommand: the ceiling, a program which makes the same calls and does nothing else.
mod bare;
/// Hidden subcommand: the handler, which sends back what it gets.
mod handler;
/// What a handler was told, and waiting for it.
mod counts;
/// How both hidden subcommands set up gRPC.
mod grpc;

/// Child processes and their ends.
mod process;
/// CPU time, memory and limits of processes, as the kernel tells them.
mod usage;

use std::{future::Future, process::ExitCode};

use anyhow::{Result, bail, ensure};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Measures the gateway, beside a bare program which makes the same calls.
#[derive(Debug, Parser)]
#[command(name = "exproto-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Echoes payloads in a closed loop: round trips per second, latency, CPU time.
    Echo(echo::Args),
    /// Holds idle connections: memory per connection.
    Idle(idle::Args),
    /// The ceiling; started by the others.
    #[command(hide = true)]
    Bare(bare::Args),
    /// The handler; started by the others.
    #[command(hide = true)]
    Handler(handler::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Echo(args) => measure(echo::run(args)).await,
        Command::Idle(args) => measure(idle::run(args)).await,
        Command::Bare(args) => bare::run(args).await,
        Command::Handler(args) => handler::run(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `work`, or drops it and with it every child process when a person interrupts.
async fn measure(work: impl Future<Output = Result<()>>) -> Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "built without optimisation, so the figures would mean nothing: use `cargo run --release -p exproto-bench`"
    );
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echo_without_options_is_64_connections_of_64_bytes() {
        let Command::Echo(args) = Cli::parse_from(["exproto-bench", "echo"]).command else {
            panic!("not echo");
        };
        assert_eq!(args.connections.get(), 64);
        assert_eq!(args.payload.get(), 64);
        assert_eq!(args.rounds.get(), 3);
    }

    #[test]
    fn a_gateway_cannot_be_given_when_only_the_ceiling_is_measured() {
        let both = ["exproto-bench", "echo", "--ceiling-only", "--gateway", "/g"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn nothing_is_measured_over_no_time_or_no_connections() {
        for wrong in ["--duration=0", "--duration=x", "--connections=0"] {
            assert!(
                Cli::try_parse_from(["exproto-bench", "echo", wrong]).is_err(),
                "{wrong}"
            );
        }
        assert!(Cli::try_parse_from(["exproto-bench", "echo", "--warmup=0.5"]).is_ok());
    }
}
