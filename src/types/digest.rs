//! sha256 as the program writes it.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// A sha256 that grows with what it is given.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Hasher").field(&self.hex()).finish()
    }
}

impl Hasher {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum of what came so far.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }

    /// Lower-case hex of what came so far.
    #[must_use]
    pub fn hex(&self) -> String {
        self.bytes().iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}
