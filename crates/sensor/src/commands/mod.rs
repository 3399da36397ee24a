//! Carries out signed commands, one after the other, each once.
//!
//! Order of things: check the signature and whom it is for; if the command is known, tell its
//! stored result again; check sequence and expiry; write down that it begins; act; write down the
//! result; the link tells it.

mod ledger;

pub use ledger::{Known, Ledger, Unsettled};

use crate::device::Device;
use crate::link::LinkState;
use crate::notify::Message;
use crate::prevent::BlockList;
use crate::respond::Outcome;
use crate::respond::process;
use crate::rules::Decision;
use hinomi_model::{DeviceId, ReceiptState, Timestamp};
use hinomi_wire::proto::SignedCommand;
use hinomi_wire::{Command, CommandEnvelope, CommandError, CommandResult, open};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Longest proof sent; a longer one is replaced by a remark. The server takes 256 KiB per result.
const PROOF_BYTES_MAX: usize = 128 * 1024;
/// Commands waiting for their turn.
pub const QUEUE: usize = 64;

/// Counts what was refused, for the status.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    inner: Arc<Mutex<(u64, String)>>,
}

impl Refusals {
    /// `ok`, or how many commands were refused and why the last one was.
    pub fn capability(&self) -> String {
        let inner = self.inner.lock().expect("never poisoned");
        match inner.0 {
            0 => "ok".to_owned(),
            count => format!("{count} refused, last: {}", inner.1),
        }
    }

    fn add(&self, error: &CommandError) {
        let mut inner = self.inner.lock().expect("never poisoned");
        inner.0 += 1;
        inner.1 = error.to_string();
        tracing::warn!(%error, "a command was refused: {error}");
    }
}

/// Carries out commands.
pub struct Executor {
    /// What is acted upon.
    pub device: Arc<Device>,
    /// Key that signs commands.
    pub command_key: Vec<u8>,
    /// What was done.
    pub ledger: Ledger,
    /// The server's clock.
    pub link: Arc<LinkState>,
    /// What was refused.
    pub refusals: Refusals,
}

impl Executor {
    /// Works until the queue ends.
    pub async fn run(self, mut queue: mpsc::Receiver<SignedCommand>) {
        let executor = Arc::new(self);
        while let Some(signed) = queue.recv().await {
            let executor = executor.clone();
            let done = tokio::task::spawn_blocking(move || executor.handle(&signed)).await;
            if done.is_err() {
                tracing::error!("a command ended in a panic");
            }
        }
    }

    fn handle(&self, signed: &SignedCommand) {
        let device_id = self.device.identity.device_id;
        let envelope = match open(signed, &self.command_key, device_id, 0, Timestamp::from_micros(i64::MIN)) {
            Ok(envelope) => envelope,
            Err(error) => return self.refusals.add(&error),
        };
        let known = self.ledger.look_up(envelope.command_id);
        if known == Known::Done {
            return;
        }
        // a command that was cut short may go on: every command comes out the same the second time
        let last = if known == Known::Begun { 0 } else { self.ledger.sequence() };
        if let Err(error) = open(signed, &self.command_key, device_id, last, self.link.server_time()) {
            self.refusals.add(&error);
            return self.finish(&envelope, refusal(&error));
        }
        if let Err(error) = self.ledger.begin(envelope.command_id, envelope.sequence) {
            let why = format!("cannot write the command ledger: {error}");
            tracing::error!("{why}");
            return self.finish(&envelope, Outcome::failed(why.clone(), why));
        }
        tracing::info!(command.id = %envelope.command_id, "carrying out command {}", kind(&envelope.command));
        let outcome = carry_out(&self.device, &envelope);
        self.device.status_changed();
        self.finish(&envelope, outcome);
    }

    fn finish(&self, envelope: &CommandEnvelope, outcome: Outcome) {
        let result = CommandResult {
            state: outcome.state,
            detail: outcome.detail,
            proof: short(outcome.proof),
            status: Some(self.device.status()),
            at: crate::clock::now(),
        };
        if let Err(error) = self.ledger.finish(envelope.command_id, result) {
            tracing::error!(%error, "cannot write the command ledger");
        }
    }
}

fn short(proof: Value) -> Value {
    let bytes = proof.to_string().len();
    if bytes <= PROOF_BYTES_MAX { proof } else { json!({ "omitted": "the proof is too long", "bytes": bytes }) }
}

fn refusal(error: &CommandError) -> Outcome {
    let ja = match error {
        CommandError::Expired(at) => format!("コマンドの有効期限（{at}）が切れています"),
        CommandError::Replayed { .. } => "コマンドの順序が正しくありません".to_owned(),
        other => other.to_string(),
    };
    Outcome::failed(error.to_string(), ja)
}

fn kind(command: &Command) -> &'static str {
    match command {
        Command::StopProcessTree { .. } => "stop_process_tree",
        Command::QuarantineFile { .. } => "quarantine_file",
        Command::RestoreFile { .. } => "restore_file",
        Command::Isolate { .. } => "isolate",
        Command::Release => "release",
        Command::SetBlockedHashes { .. } => "set_blocked_hashes",
        Command::SetRules { .. } => "set_rules",
        Command::CollectStatus => "collect_status",
        Command::Notify { .. } => "notify",
    }
}

fn carry_out(device: &Device, envelope: &CommandEnvelope) -> Outcome {
    match &envelope.command {
        Command::StopProcessTree { process } => stop(device, process, envelope.device_id),
        Command::QuarantineFile { sha256, paths } => {
            device.quarantine.take(sha256, paths, device.scope, Some(envelope.command_id))
        }
        Command::RestoreFile { sha256 } => device.quarantine.restore(sha256, device.scope),
        Command::Isolate { lease_seconds } => device.isolation.isolate(*lease_seconds, &device.address.pinned()),
        Command::Release => device.isolation.release(),
        Command::SetBlockedHashes { version, sha256 } => set_blocked(device, *version, sha256),
        Command::SetRules { version, yaml, off } => {
            set_rules(device, &Decision { version: *version, yaml: yaml.clone(), off: off.clone() })
        }
        Command::CollectStatus => {
            Outcome::new(ReceiptState::Done, "status collected", "状態を取得しました", Value::Null)
        }
        Command::Notify { title, body } => {
            let told = device.notifier.deliver(&Message { title: title.clone(), body: body.clone(), urgent: false });
            let count = told.desktops.len() + told.terminals.len();
            let proof = serde_json::to_value(&told).unwrap_or_default();
            match count {
                0 => {
                    Outcome::new(ReceiptState::NotFound, "nobody is logged on", "ログオン中のユーザーがいません", proof)
                }
                _ => Outcome::new(
                    ReceiptState::Done,
                    format!("shown in {count} places"),
                    format!("{count} か所に表示しました"),
                    proof,
                ),
            }
        }
    }
}

fn stop(device: &Device, key: &hinomi_model::ProcessKey, device_id: DeviceId) -> Outcome {
    if key.device_id != device_id {
        return Outcome::failed("the process belongs to another device", "別のデバイスのプロセスです");
    }
    process::stop_tree(key, device.processes(), device.scope)
}

fn set_rules(device: &Device, decision: &Decision) -> Outcome {
    if device.rules.get().version == decision.version {
        return Outcome::new(ReceiptState::AlreadyDone, "the rules are in force", "ルールは適用済みです", Value::Null);
    }
    match device.rules.replace(decision) {
        Ok(rules) => {
            device.status_changed();
            let (count, refused) = (rules.engine.rules().len(), rules.refused);
            Outcome::new(
                ReceiptState::Done,
                format!("{count} rules in force, {refused} could not be read"),
                format!("{count} 件のルールが有効です（読み取れないもの: {refused} 件）"),
                json!({ "version": rules.version, "rules": count, "refused": refused }),
            )
        }
        Err(error) => {
            Outcome::failed(format!("the rules cannot be taken: {error}"), format!("ルールを適用できません: {error}"))
        }
    }
}

fn set_blocked(device: &Device, version: u64, sha256: &[String]) -> Outcome {
    let Some(list) = BlockList::new(version, sha256) else {
        return Outcome::failed("a value of the list is no SHA-256", "リストに SHA-256 でない値があります");
    };
    let count = list.len();
    match device.prevention.replace(list) {
        Ok(fresh) => {
            let state = if fresh { ReceiptState::Done } else { ReceiptState::AlreadyDone };
            let prevention = device.prevention.capability();
            let in_force = device.prevention.list().version();
            let proof =
                json!({ "version": in_force, "hashes": device.prevention.list().len(), "prevention": prevention });
            Outcome::new(
                state,
                format!("block list version {in_force} in force ({count} hashes); before start: {prevention}"),
                format!("ブロックリスト バージョン {in_force} が有効です（{count} 件）。実行前の阻止: {prevention}"),
                proof,
            )
        }
        Err(error) => Outcome::failed(
            format!("the block list cannot be written: {error}"),
            format!("ブロックリストを保存できません: {error}"),
        ),
    }
}
