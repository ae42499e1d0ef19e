//! Arguments in, exit code out: 0 when all went well, 2 for bad input, 1 for the rest.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use config::Config;
use exproto_gateway::{
    Gateway, Reloader,
    auth::hash::argon2id,
    demo,
    shutdown::Drained,
    telemetry,
    watch::{POLL, Watch},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    /// Run the gateway until SIGTERM or SIGINT; a second signal ends it at once. SIGHUP, or a change of the file, makes
    /// it read the configuration again.
    Run(File),
    /// Check a configuration file, the environment over it, and the certificates and keys that it names.
    Check {
        #[command(flatten)]
        file: File,
        /// Do not read the certificates and keys: they are elsewhere.
        #[arg(long)]
        no_files: bool,
    },
    /// Print the default configuration, with what each setting means.
    Config,
    /// Read a password from the input, up to its first line end, and print its hash for a file of users.
    Hash,
    /// Run a gateway with a small line-protocol handler, to try it out with nc.
    Demo(Box<demo::Arguments>),
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
        Command::Hash => hash(),
        Command::Check { file, no_files } => match load(&file) {
            Ok(config) => check(&config, &file, no_files),
            Err(code) => code,
        },
        Command::Run(file) => match load(&file) {
            Ok(config) => serve(config, file),
            Err(code) => code,
        },
        Command::Demo(arguments) => {
            telemetry::start(&demo::log());
            block_on(async { demo::run(*arguments, interrupted()?).await })
        }
    }
}

fn hash() -> ExitCode {
    let mut password = String::new();
    if let Err(error) = std::io::stdin().read_line(&mut password) {
        eprintln!("cannot read the password: {error}");
        return ExitCode::from(2);
    }
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        eprintln!(
            "the password is empty; write it to the input, for example by printf %s \"$PASSWORD\" |"
        );
        return ExitCode::from(2);
    }
    println!("{}", argon2id(password.as_bytes()));
    ExitCode::SUCCESS
}

/// What is wrong with the configuration is said in full, one line for each problem.
fn load(file: &File) -> Result<Config, ExitCode> {
    read(file).map_err(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

/// Whether a gateway would start with it, ports apart.
fn check(config: &Config, file: &File, no_files: bool) -> ExitCode {
    let shown = file.config.display();
    if !no_files {
        // What has expired is told there.
        telemetry::start(&demo::log());
        let runtime = match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("cannot look at the files: {error}");
                return ExitCode::FAILURE;
            }
        };
        let problems = runtime.block_on(async { Gateway::check_files(config) });
        if !problems.is_empty() {
            for problem in problems {
                eprintln!("{shown}: {:#}", anyhow::Error::from(problem));
            }
            return ExitCode::from(2);
        }
    }
    println!("{shown}: ok");
    ExitCode::SUCCESS
}

fn read(file: &File) -> Result<Config, config::Error> {
    // A variable that is no text is nobody's setting.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(&file.config, variables)
}

fn serve(config: Config, file: File) -> ExitCode {
    let log = telemetry::start(&config.log);
    allow_open_files(&config);
    block_on(async move {
        let shutdown = interrupted()?;
        let hangup = signal(SignalKind::hangup())?;
        let watch = Watch::new(vec![file.config.clone()], POLL);
        let gateway = Gateway::bind(config)?;
        tokio::spawn(reload(gateway.reloader(), file, watch, hangup, log));
        let drained = gateway.run(shutdown).await?;
        anyhow::ensure!(drained == Drained::All, "not all connections were drained");
        Ok(())
    })
}

/// Reads the configuration again whenever the file has changed, and on SIGHUP. One with errors changes nothing.
async fn reload(reloader: Reloader, file: File, watch: Watch, hangup: Signal, log: telemetry::Log) {
    let (mut watch, mut hangup) = (watch, hangup);
    loop {
        tokio::select! {
            Some(()) = hangup.recv() => {
                // Whatever the configuration is, these have files of their own.
                tokio::task::block_in_place(|| reloader.refresh_files());
            }
            _ = watch.changed() => {}
        }
        let shown = file.config.display();
        let config = match read(&file) {
            Ok(config) => config,
            Err(error) => {
                reloader.refused();
                tracing::error!(%error, file = %shown, "the changed configuration is not taken; the old one stays in use");
                continue;
            }
        };
        let taken = config.clone();
        // It reads files.
        match tokio::task::block_in_place(|| reloader.reload(config)) {
            Ok(outcome) => {
                log.set_level(&taken.log);
                allow_open_files(&taken);
                tracing::info!(file = %shown, "took the configuration");
                if !outcome.needs_restart.is_empty() {
                    let settings = outcome.needs_restart.join(", ");
                    tracing::warn!(
                        settings,
                        "these settings have changed and take effect with the next start only"
                    );
                }
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!(error = format!("{error:#}"), file = %shown, "the changed configuration is not taken; the old one stays in use");
            }
        }
    }
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
                Some(
                    exproto_gateway::Error::Key(_)
                    | exproto_gateway::Error::Security { .. }
                    | exproto_gateway::Error::Authentication(_)
                    | exproto_gateway::Error::Authorization(_)
                    | exproto_gateway::Error::Server { .. }
                    | exproto_gateway::Error::Tokens { .. },
                ) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// The datagrams of all devices go through a few sockets, but for DTLS 1.3.
fn files_per_connection(listener: &config::Listener) -> u64 {
    let dtls13 = listener.dtls.versions.contains(&config::DtlsVersion::V1_3);
    match listener.transport {
        config::Transport::Dtls if dtls13 => 2,
        config::Transport::Udp | config::Transport::Dtls => 0,
        _ => 1,
    }
}

/// Most connections are open files. Takes as many as the system allows, and says so where the configuration wants more.
fn allow_open_files(config: &Config) {
    let pod = u64::from(config.limits.max_connections.get());
    let each = config.listeners.iter().map(files_per_connection);
    let files = config
        .listeners
        .iter()
        .zip(each.clone())
        .map(|(listener, each)| u64::from(listener.limits.max_connections.get()) * each);
    let files = files.sum::<u64>().min(pod * each.max().unwrap_or(0));
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < files + OTHER_FILES => tracing::warn!(
            limit,
            files,
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
