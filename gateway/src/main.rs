//! Arguments in, exit code out: 0 when all went well, 2 for bad input, 1 for the rest.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use config::Config;
use exproto_gateway::{Gateway, demo, shutdown::Drained, telemetry};
use tokio::signal::unix::{SignalKind, signal};

/// Files that a gateway opens for anything but devices.
const OTHER_FILES: u64 = 1000;

/// Device sockets in, gRPC callbacks out.
#[derive(Parser)]
#[command(name = "exproto-gateway", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or SIGINT; a second signal ends it at once.
    Run(File),
    /// Check a configuration file and the environment over it.
    Check(File),
    /// Print the default configuration, with what each setting means.
    Config,
    /// Run a gateway with a small line-protocol handler, to try it out with nc.
    Demo(demo::Arguments),
}

#[derive(clap::Args)]
struct File {
    /// The configuration file (YAML). Variables such as `EXPROTO_ADAPTER__BIND` override it.
    #[arg(long, env = "EXPROTO_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Config => {
            print!("{}", config::annotated_default());
            ExitCode::SUCCESS
        }
        Command::Check(file) => match load(&file) {
            Ok(_) => {
                println!("{}: ok", file.config.display());
                ExitCode::SUCCESS
            }
            Err(code) => code,
        },
        Command::Run(file) => match load(&file) {
            Ok(config) => serve(config),
            Err(code) => code,
        },
        Command::Demo(arguments) => {
            telemetry::start(&demo::log());
            block_on(async { demo::run(arguments, interrupted()?).await })
        }
    }
}

/// What is wrong with the configuration is said in full, one line for each problem.
fn load(file: &File) -> Result<Config, ExitCode> {
    // A variable that is no text is nobody's setting.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(&file.config, variables).map_err(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

fn serve(config: Config) -> ExitCode {
    telemetry::start(&config.log);
    allow_open_files(&config);
    block_on(async {
        let shutdown = interrupted()?;
        let drained = Gateway::bind(config)?.run(shutdown).await?;
        anyhow::ensure!(drained == Drained::All, "not all connections were drained");
        Ok(())
    })
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(work);
            // A name that is still being resolved does not hold the process.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            match error.downcast_ref() {
                Some(exproto_gateway::Error::Key(_)) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Every connection is an open file. Takes as many as the system allows, and says so where the configuration wants more.
fn allow_open_files(config: &Config) {
    let listeners = config.listeners.iter();
    let connections: u64 = listeners
        .map(|listener| u64::from(listener.max_connections.get()))
        .sum();
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < connections + OTHER_FILES => tracing::warn!(
            limit,
            connections,
            "fewer files may be open than max_connections of all listeners need; raise the limit (nofile) or lower max_connections"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

/// Ready at the first SIGTERM or SIGINT; the second one ends the process at once. From the call on, no signal is missed.
fn interrupted() -> anyhow::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            eprintln!("second signal: ending at once");
            std::process::exit(130);
        });
    })
}
