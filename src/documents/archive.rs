//! Zip archives of documents: members are read by their exact name into memory, within the limits, never to a disk.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::error::Error;
use super::limits::Limits;

/// Members up to this size may be packed as well as they like: long runs of blanks are no bomb.
const RATIO_FROM_BYTES: u64 = 1 << 20;

/// An archive and what may still be unpacked of it.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    limits: Limits,
    left_bytes: u64,
}

impl<'a> Archive<'a> {
    /// Reads the list of members.
    ///
    /// # Errors
    /// It is no archive, or of too many files.
    pub(super) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
        let (files, limit) = (zip.len(), limits.archive_files);
        if files > limit {
            return Err(Error::TooManyFiles { files, limit });
        }
        Ok(Self { zip, limits: *limits, left_bytes: limits.unpacked_bytes })
    }

    /// The bytes of a member; none where there is no such member.
    ///
    /// # Errors
    /// It is damaged or encrypted, or unpacks to more than the limits allow.
    pub(super) fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut member = match self.zip.by_name(name) {
            Ok(member) => member,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED)) => return Err(Error::Encrypted),
            Err(error) => return Err(damaged(&error)),
        };
        // The sizes that the archive states are its author's word: what really comes out counts.
        let by_ratio = member.compressed_size().saturating_mul(self.limits.unpacked_ratio).max(RATIO_FROM_BYTES);
        let limit_bytes = by_ratio.min(self.left_bytes);
        let mut bytes = Vec::new();
        let read = member.by_ref().take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes);
        let read = read.map_err(|error| Error::Damaged { reason: format!("{name}: {error}") })? as u64;
        if read > limit_bytes {
            return Err(Error::Expansion { limit_bytes });
        }
        self.left_bytes -= read;
        Ok(Some(bytes))
    }
}

fn damaged(error: &ZipError) -> Error {
    Error::Damaged { reason: error.to_string() }
}
