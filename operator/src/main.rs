//! Arguments in, exit code out: 0 when all went well, 2 for bad input.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use exproto_operator::{check::check, crd::definition};

/// Gateways on Kubernetes, as resources of kind `ExProtoListener` say.
#[derive(Parser)]
#[command(name = "exproto-operator", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the definition of the resource, to be applied by `kubectl apply --server-side -f -`.
    Crd,
    /// Check the resources in a YAML file, without an API server. What they refer to is taken to be there.
    Check {
        /// The file; other resources in it are passed over.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Crd => {
            let crd = serde_saphyr::to_string(definition());
            print!("{}", crd.expect("the definition can be written"));
            ExitCode::SUCCESS
        }
        Command::Check { file } => match check(&file) {
            Ok(count) => {
                println!("{}: {count} good", file.display());
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(2)
            }
        },
    }
}
