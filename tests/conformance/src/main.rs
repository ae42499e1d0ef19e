//! Arguments in, exit code out: 0 when nothing failed, 1 when a check did, 2 for bad input and where nothing can begin.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{ArgGroup, Parser};
use config::parse_period;
use exproto_conformance::{
    check::{Check, Choice, Finding},
    dialect::Dialect,
    gateway, handler,
    patience::Patience,
    report::{self, Report, junit},
    script::Script,
};
use tokio::net::TcpListener;
use tonic::metadata::{Ascii, MetadataValue};

/// Where the kit's adapter listens, unless told.
const ADAPTER: SocketAddr = SocketAddr::new(LOOPBACK, 9100);
/// Where the kit's handler listens, unless told.
const HANDLER: SocketAddr = SocketAddr::new(LOOPBACK, 9001);
const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Checks a handler, or a gateway, against the contract emqx.exproto.v1.
///
/// Exit code: 0 when no check failed, 1 when one did, 2 when the run could not begin.
#[derive(Debug, Parser)]
#[command(name = "exproto-conformance", version)]
#[command(group(ArgGroup::new("subject").args(["handler", "gateway"]).required(true)))]
struct Arguments {
    /// Check the handler at this address. It must call the adapter at --listen.
    #[arg(long, value_name = "HOST:PORT")]
    handler: Option<String>,
    /// Check the gateway whose devices connect here, by TCP. It must call the handler at --listen.
    #[arg(long, value_name = "HOST:PORT", requires = "adapter")]
    gateway: Option<String>,
    /// The adapter of the gateway.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "handler")]
    adapter: Option<String>,
    /// Where the kit listens: its adapter, 127.0.0.1:9100 unless told, or with --gateway its handler, 127.0.0.1:9001
    /// unless told.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,

    /// What devices of the handler's protocol say, and what must come back (YAML). Without it: lines that come back as
    /// they are.
    #[arg(long, value_name = "FILE", conflicts_with = "gateway")]
    script: Option<PathBuf>,
    /// The service that the handler serves, or the gateway calls.
    #[arg(long, value_enum, default_value_t = Service::ConnectionUnaryHandler)]
    service: Service,

    /// Whose documents count where gateways differ.
    #[arg(long = "as", value_enum, default_value_t, conflicts_with = "handler")]
    dialect: Dialect,
    /// The gateway's own handler.deadline.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_period)]
    #[arg(conflicts_with = "handler")]
    handler_deadline: Duration,
    /// The gateway's own mountpoint, without placeholders.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        conflicts_with = "handler"
    )]
    mountpoint: String,
    /// The gateway does not see the devices' own addresses: a balancer stands before it.
    #[arg(long, conflicts_with = "handler")]
    nat: bool,
    /// A file with the token for the adapter, where it has callers.
    #[arg(long, value_name = "FILE", conflicts_with = "handler")]
    token_file: Option<PathBuf>,

    /// Run this check, and what it needs, instead of all. May be given several times.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Also run the checks that are left out unless they are named.
    #[arg(long)]
    all: bool,
    /// Print the checks instead of running them.
    #[arg(long)]
    list: bool,
    /// How long to wait for what must come. A handler's answer that takes longer is late.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_period)]
    deadline: Duration,
    /// How long to watch for what must not come.
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = parse_period)]
    settle: Duration,
    /// How many devices the storm has.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Also write the report to this file, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// A service that handlers serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Service {
    /// One unary call for each callback.
    ConnectionUnaryHandler,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    if arguments.list {
        match arguments.handler {
            Some(_) => list(&handler::checks()),
            None => list(&gateway::checks()),
        }
        return Ok(ExitCode::SUCCESS);
    }
    // What cannot be written at the end should be known at the beginning.
    let junit = arguments.junit.as_deref().map(create).transpose()?;
    let report = check(arguments).await?;
    println!("{}", report.sum());
    if let Some(file) = junit {
        junit::write(&report, file).context("cannot write the report (--junit)")?;
    }
    Ok(match report.failed().count() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn check(arguments: Arguments) -> Result<Report> {
    let told = |finding: &Finding| println!("{}", report::text(finding));
    // The one service that there is, in both directions.
    let Service::ConnectionUnaryHandler = arguments.service;
    let patience = Patience {
        deadline: arguments.deadline,
        settle: arguments.settle,
    };
    let choice = Choice {
        only: arguments.only,
        all: arguments.all,
    };
    if let Some(address) = arguments.handler {
        let script = arguments.script.as_deref().map(Script::load).transpose()?;
        let listener = listen(arguments.listen.unwrap_or(ADAPTER)).await?;
        let settings = handler::Settings {
            handler: url(&address),
            script: script.unwrap_or_default(),
            patience,
            connections: arguments.connections,
            choice,
        };
        return Ok(handler::run(settings, listener, told).await?);
    }
    let (Some(gateway), Some(adapter)) = (arguments.gateway, arguments.adapter) else {
        bail!("--gateway and --adapter belong together");
    };
    let token = arguments.token_file.as_deref().map(token).transpose()?;
    let listener = listen(arguments.listen.unwrap_or(HANDLER)).await?;
    let settings = gateway::Settings {
        gateway,
        adapter: url(&adapter),
        token,
        dialect: arguments.dialect,
        handler_deadline: arguments.handler_deadline,
        mountpoint: arguments.mountpoint,
        nat: arguments.nat,
        patience,
        connections: arguments.connections,
        choice,
    };
    Ok(gateway::run(settings, listener, told).await?)
}

fn list<C>(checks: &[Check<C>]) {
    for check in checks {
        let optional = check.optional.map(|why| format!(" (left out: {why})"));
        println!(
            "{}: {}{}",
            check.id,
            check.rule,
            optional.unwrap_or_default()
        );
        println!("    {}", check.source);
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| {
        format!("cannot listen on {address}; choose another address with --listen")
    })
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot write {} (--junit)", path.display()))
}

/// The first line of the file that is not a comment, as the gateway reads such files.
fn token(path: &Path) -> Result<MetadataValue<Ascii>> {
    let name = path.display();
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {name} (--token-file)"))?;
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    let line = line.with_context(|| format!("{name} (--token-file) holds no token"))?;
    let value = format!("Bearer {line}").parse();
    value.with_context(|| format!("{name} (--token-file) holds what is no token"))
}

fn url(address: &str) -> String {
    if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["exproto-conformance"], arguments].concat())
    }

    #[test]
    fn a_run_has_one_subject() {
        assert!(parse(&["--handler", "127.0.0.1:9001"]).is_ok());
        assert!(parse(&["--gateway", "127.0.0.1:7993", "--adapter", "127.0.0.1:9100"]).is_ok());
        for wrong in [
            &[][..],
            &["--gateway", "127.0.0.1:7993"],
            &["--handler", "a:1", "--gateway", "b:2", "--adapter", "c:3"],
            &["--handler", "a:1", "--as", "emqx"],
            &["--handler", "a:1", "--connections", "0"],
            &["--handler", "a:1", "--deadline", "0s"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_address_may_be_a_url() {
        assert_eq!(url("127.0.0.1:9001"), "http://127.0.0.1:9001");
        assert_eq!(url("http://h:1"), "http://h:1");
    }
}
