//! Chance for tests: one seed, told, so that a run can be repeated.

use anyhow::{Context, Result};

/// A generator of numbers (SplitMix64, Steele et al. 2014); good enough to pick moments and samples.
pub struct Chance {
    state: u64,
}

impl Chance {
    /// Begins with `HINOMI_SEED`, or a seed of its own, and says so.
    ///
    /// # Errors
    /// When `HINOMI_SEED` is no number.
    pub fn begin(test: &str) -> Result<Chance> {
        let seed = match std::env::var("HINOMI_SEED") {
            Ok(text) => text.parse().context("HINOMI_SEED is no number")?,
            Err(_) => uuid::Uuid::now_v7().as_u128() as u64,
        };
        eprintln!("{test}: HINOMI_SEED={seed}");
        Ok(Chance { state: seed })
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}

/// True when the long matrices shall run whole (`cargo xtask test --full`).
pub fn full() -> bool {
    std::env::var_os("HINOMI_FULL").is_some()
}
