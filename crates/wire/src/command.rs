//! Commands to sensors: signed by the server, for one device, in sequence, expiring.

use crate::proto::SignedCommand;
use hinomi_model::{CommandId, DeviceId, ProcessKey, ReceiptState, SensorStatus, Text, Timestamp};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

const CONTEXT: &[u8] = b"hinomi-command-v1\0";

/// What a sensor can be told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Command {
    /// Stop a process and every descendant.
    StopProcessTree {
        /// Root of the tree.
        process: ProcessKey,
    },
    /// Move files with this hash out of reach, at the given paths.
    QuarantineFile {
        /// SHA-256, lower-case hex.
        sha256: String,
        /// Where to look.
        paths: Vec<String>,
    },
    /// Put quarantined files with this hash back where they were.
    RestoreFile {
        /// SHA-256, lower-case hex.
        sha256: String,
    },
    /// Cut the network but for the server; ends by itself after the lease.
    Isolate {
        /// Seconds until release.
        lease_seconds: i64,
    },
    /// Restore the network.
    Release,
    /// Replace the list of hashes that must not run.
    SetBlockedHashes {
        /// Version of the list, grows.
        version: u64,
        /// SHA-256 hashes, lower-case hex, sorted.
        sha256: Vec<String>,
    },
    /// Replace what was decided about rules beside those that ship.
    SetRules {
        /// Fingerprint of the decision; 0 = nothing was decided.
        version: u64,
        /// Rules beside those that ship, as text.
        yaml: Vec<String>,
        /// Rules that ship and that nothing follows from.
        off: Vec<String>,
    },
    /// Report the state.
    CollectStatus,
    /// Show a message to the users of the device.
    Notify {
        /// Short title.
        title: Text,
        /// Body.
        body: Text,
    },
}

/// A command with everything that makes it safe to obey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandEnvelope {
    /// Id, answered in the receipt.
    pub command_id: CommandId,
    /// The only device that may obey.
    pub device_id: DeviceId,
    /// Grows with every command to this device; a sensor obeys only higher ones.
    pub sequence: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// When it must no longer be obeyed.
    pub expires_at: Timestamp,
    /// What to do.
    pub command: Command,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// Done, already done, not found or failed.
    pub state: ReceiptState,
    /// What happened, or why it failed.
    pub detail: Text,
    /// Proof (killed pids, paths, rule counts), JSON.
    pub proof: serde_json::Value,
    /// The sensor's state after it.
    pub status: Option<SensorStatus>,
    /// When it ended.
    pub at: Timestamp,
}

/// A command must not be obeyed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    /// Signature or format is wrong.
    #[error("command is not signed by the server")]
    Signature,
    /// Signed, but unreadable: a newer server.
    #[error("command of an unknown kind: {0}")]
    Unknown(String),
    /// For another device.
    #[error("command is for device {0}")]
    OtherDevice(DeviceId),
    /// Seen before or out of order.
    #[error("command sequence {sequence} is not above {last}")]
    Replayed {
        /// Sequence of the command.
        sequence: u64,
        /// Highest sequence obeyed.
        last: u64,
    },
    /// Too late.
    #[error("command expired at {0}")]
    Expired(Timestamp),
}

/// Signs a command with the server's command key.
pub fn sign(envelope: &CommandEnvelope, key: &Ed25519KeyPair) -> SignedCommand {
    let bytes = serde_json::to_vec(envelope).expect("a command always serialises");
    let signature = key.sign(&[CONTEXT, &bytes].concat());
    SignedCommand { envelope: bytes.into(), signature: signature.as_ref().to_vec().into() }
}

/// Opens a signed command for `device_id`, refusing everything a sensor must not obey.
///
/// # Errors
/// [`CommandError`] names the reason.
pub fn open(
    signed: &SignedCommand,
    public_key: &[u8],
    device_id: DeviceId,
    last_sequence: u64,
    now: Timestamp,
) -> Result<CommandEnvelope, CommandError> {
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(&[CONTEXT, &signed.envelope].concat(), &signed.signature)
        .map_err(|_| CommandError::Signature)?;
    let envelope: CommandEnvelope =
        serde_json::from_slice(&signed.envelope).map_err(|error| CommandError::Unknown(error.to_string()))?;
    if envelope.device_id != device_id {
        return Err(CommandError::OtherDevice(envelope.device_id));
    }
    if envelope.sequence <= last_sequence {
        return Err(CommandError::Replayed { sequence: envelope.sequence, last: last_sequence });
    }
    if envelope.expires_at < now {
        return Err(CommandError::Expired(envelope.expires_at));
    }
    Ok(envelope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::KeyPair;

    fn id<T: From<uuid::Uuid>>(n: u128) -> T {
        uuid::Uuid::from_u128(n).into()
    }

    #[test]
    fn only_fresh_commands_of_the_server_for_this_device_open() {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("seed");
        let envelope = CommandEnvelope {
            command_id: id(1),
            device_id: id(2),
            sequence: 5,
            issued_at: Timestamp::from_micros(0),
            expires_at: Timestamp::from_micros(10),
            command: Command::Release,
        };
        let signed = sign(&envelope, &key);
        let public = key.public_key().as_ref();
        let now = Timestamp::from_micros(9);
        assert_eq!(open(&signed, public, id(2), 4, now), Ok(envelope.clone()));
        assert_eq!(open(&signed, public, id(3), 4, now), Err(CommandError::OtherDevice(id(2))));
        assert!(matches!(open(&signed, public, id(2), 5, now), Err(CommandError::Replayed { .. })));
        assert!(matches!(open(&signed, public, id(2), 4, now.plus_seconds(1)), Err(CommandError::Expired(_))));
        let mut forged = signed.clone();
        forged.envelope = serde_json::to_vec(&CommandEnvelope { sequence: 9, ..envelope }).expect("json").into();
        assert_eq!(open(&forged, public, id(2), 4, now), Err(CommandError::Signature));
    }
}
