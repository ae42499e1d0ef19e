//! Load generator: the gateway's speed and memory, beside those of a bare program in the same run.
//!
//! The process that a person starts orchestrates and generates the load ([`echo`], [`idle`] and so on); what it
//! measures and the handlers are processes of their own, so that their CPU time and memory can be told apart.

/// Round trips per second, latency and CPU time, in alternating rounds.
mod echo;
/// The same by the ordered stream, beside unary calls and a bare TCP echo.
mod streams;
/// The handler killed and started again under load.
mod handler_restart;
/// The same for two transports of one gateway.
mod transports;
/// Memory per idle connection.
mod idle;
/// Datagrams per second, without gRPC.
mod udp;
/// Handshakes per second, without gRPC.
mod handshakes;
/// Decisions about who may connect.
mod access;
/// Decisions about who may publish.
mod acl;
/// Authenticates per second, and what others feel of them.
mod authenticate;
/// From Publish to `OnReceivedMessages`.
mod pubsub;
/// From a publisher in one pod to subscribers in others.
mod fanout;
/// What it costs that pods work as one.
mod cluster;
/// Redis that fails over while pods publish through it.
mod redis_failover;

/// Rounds of echoes, and their medians.
mod rounds;
/// Many devices at once.
mod generator;
/// One device: a connection which sends payloads and waits for their echo.
mod device;
/// UDP devices by the hundred thousand.
mod swarm;
/// Clients of a gateway.
mod clients;
/// One of several gateways that share a Redis.
mod pod;
/// The ways in which devices connect.
mod transport;
/// Certificates and keys.
mod credentials;
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
/// Hidden subcommand: the ceiling of the ordered stream.
mod bare_tcp;
/// Hidden subcommand: the handler, which sends back what it gets.
mod handler;
/// Hidden subcommands: the gateway as a library, and a plain loop, for what is measured without gRPC.
mod reflect;
/// What a handler was told, and waiting for it.
mod counts;
/// How ceiling and handler set up gRPC.
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
    /// Kills the handler and starts it again, over and over, while devices send: what is lost, doubled or reordered.
    HandlerRestart(handler_restart::Args),
    /// Echoes over two transports of the gateway: TLS beside TCP, for example.
    Transports(transports::Args),
    /// Holds idle connections: memory per connection.
    Idle(idle::Args),
    /// Echoes datagrams, without gRPC: datagrams per second, CPU time.
    Udp(udp::Args),
    /// Shakes hands, without gRPC: handshakes per second of DTLS and TLS, CPU time.
    Dtls(handshakes::Args),
    /// Decides whether devices may connect, with few rules and with many: time per decision.
    Access(access::Args),
    /// Decides whether clients may publish, with few rules and with many: time per decision.
    Acl(acl::Args),
    /// Authenticates clients by each chain: how many a second, and the latency of other connections meanwhile.
    Authenticate(authenticate::Args),
    /// Publishes to 1, 100 and 10,000 subscribers: latency, deliveries per second.
    Pubsub(pubsub::Args),
    /// Publishes in some pods to subscribers in all: messages and deliveries per second, latency, CPU time of Redis.
    Fanout(fanout::Args),
    /// Publishes in one pod to subscribers in another while Redis fails over: what is lost, doubled or reordered.
    RedisFailover(redis_failover::Args),
    /// Subscribes, publishes and calls in pods that share a Redis: memory, changes per second, latency.
    Cluster(cluster::Args),
    /// One of the pods, or of the programs beside them; started by `fanout`.
    #[command(hide = true)]
    FanoutMember(fanout::member::Args),
    /// The ceiling; started by the others.
    #[command(hide = true)]
    Bare(bare::Args),
    /// The ceiling of the ordered stream; started by the others.
    #[command(hide = true)]
    BareTcp(bare_tcp::Args),
    /// The handler; started by the others.
    #[command(hide = true)]
    Handler(handler::Args),
    /// A gateway with a handler of its own; started by the others.
    #[command(hide = true)]
    Reflect(reflect::GatewayArgs),
    /// Its ceiling; started by the others.
    #[command(hide = true)]
    ReflectBare(reflect::BareArgs),
    /// The service that says who may be a client; started by the others.
    #[command(hide = true)]
    AuthenticationService(authenticate::service::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Echo(args) => Box::pin(measure(echo::run(args))).await,
        Command::HandlerRestart(args) => Box::pin(measure(handler_restart::run(args))).await,
        Command::Transports(args) => measure(transports::run(args)).await,
        Command::Idle(args) => Box::pin(measure(idle::run(args))).await,
        Command::Udp(args) => measure(udp::run(args)).await,
        Command::Dtls(args) => measure(handshakes::run(args)).await,
        Command::Access(args) => measure(access::run(args)).await,
        Command::Acl(args) => measure(acl::run(args)).await,
        Command::Authenticate(args) => Box::pin(measure(authenticate::run(args))).await,
        Command::Pubsub(args) => Box::pin(measure(pubsub::run(args))).await,
        Command::Fanout(args) => Box::pin(measure(fanout::run(args))).await,
        Command::RedisFailover(args) => Box::pin(measure(redis_failover::run(args))).await,
        Command::Cluster(args) => Box::pin(measure(cluster::run(args))).await,
        Command::FanoutMember(args) => Box::pin(fanout::member::run(args)).await,
        Command::Bare(args) => bare::run(args).await,
        Command::BareTcp(args) => bare_tcp::run(args).await,
        Command::Handler(args) => handler::run(args).await,
        Command::Reflect(args) => reflect::run_gateway(args).await,
        Command::ReflectBare(args) => reflect::run_bare(args).await,
        Command::AuthenticationService(args) => authenticate::service::run(args).await,
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
        assert_eq!(args.load.connections.get(), 64);
        assert_eq!(args.load.payload.get(), 64);
        assert_eq!(args.load.times.rounds.get(), 3);
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

    #[test]
    fn chains_are_chosen_by_name() {
        for (right, chains) in [
            (true, "file,jwt-es256"),
            (true, "http-cached"),
            (false, "ldap"),
        ] {
            let arguments = ["exproto-bench", "authenticate", "--chains", chains];
            assert_eq!(Cli::try_parse_from(arguments).is_ok(), right, "{chains}");
        }
    }

    #[test]
    fn a_payload_has_room_for_the_time() {
        for (right, payload) in [(true, "--payload=8"), (false, "--payload=7")] {
            let arguments = ["exproto-bench", "pubsub", payload];
            assert_eq!(Cli::try_parse_from(arguments).is_ok(), right, "{payload}");
        }
    }
}
