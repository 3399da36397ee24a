//! The hashes that must not run.

use crate::files;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// A version of the list; hashes sorted for look-up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockList {
    version: u64,
    hashes: Vec<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u64,
    sha256: Vec<String>,
}

impl BlockList {
    /// Reads hexadecimal hashes; `None` when one is no SHA-256.
    pub fn new(version: u64, sha256: &[String]) -> Option<BlockList> {
        let mut hashes = Vec::with_capacity(sha256.len());
        for text in sha256 {
            hashes.push(parse(text)?);
        }
        hashes.sort_unstable();
        hashes.dedup();
        Some(BlockList { version, hashes })
    }

    /// Returns the version; 0 = never set.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns how many hashes are blocked.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// True when nothing is blocked.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// True when the hash is blocked.
    pub fn contains(&self, hash: &[u8; 32]) -> bool {
        self.hashes.binary_search(hash).is_ok()
    }

    /// True when the hexadecimal hash is blocked; other text is not.
    pub fn contains_text(&self, sha256: &str) -> bool {
        !self.is_empty() && parse(sha256).is_some_and(|hash| self.contains(&hash))
    }

    pub(super) fn load(path: &Path) -> io::Result<BlockList> {
        let Some(stored) = files::read_json::<Stored>(path)? else { return Ok(BlockList::default()) };
        BlockList::new(stored.version, &stored.sha256)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a hash of the block list is damaged"))
    }

    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let sha256 = self.hashes.iter().map(hex::encode).collect();
        files::write_json(path, &Stored { version: self.version, sha256 })
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok()?;
    Some(hash)
}
