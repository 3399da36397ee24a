//! What the sensor can do on the device: stop processes, move files out of reach, cut the network.

pub mod isolate;
pub mod process;
pub mod quarantine;
mod xattr;

use hinomi_model::{ReceiptState, Text};
use serde_json::Value;

/// What came of an act, ready for a receipt.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Done, already done, not found or failed.
    pub state: ReceiptState,
    /// What happened, or why it failed.
    pub detail: Text,
    /// Proof.
    pub proof: Value,
}

impl Outcome {
    /// Builds an outcome.
    pub fn new(state: ReceiptState, en: impl Into<String>, ja: impl Into<String>, proof: Value) -> Self {
        Outcome { state, detail: Text::new(en, ja), proof }
    }

    /// A failure without proof.
    pub fn failed(en: impl Into<String>, ja: impl Into<String>) -> Self {
        Self::new(ReceiptState::Failed, en, ja, Value::Null)
    }
}
