//! The program: parses the command line, calls the library, gives back an exit code.

use clap::Parser;

fn main() -> std::process::ExitCode {
    match mneme::cli::Cli::try_parse() {
        Ok(cli) => mneme::app::run(cli).into(),
        Err(error) => mneme::app::refuse(&error, std::env::args_os()).into(),
    }
}
