//! Exit codes of the program.

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All went well.
    Ok = 0,
    /// The task failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// A model or data file is missing, damaged or too new.
    Data = 3,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
