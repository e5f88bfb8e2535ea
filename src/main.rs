//! The program: parses the command line, calls the library, gives back an exit code.

use clap::Parser;

fn main() -> std::process::ExitCode {
    mneme::app::run(mneme::cli::Cli::parse()).into()
}
