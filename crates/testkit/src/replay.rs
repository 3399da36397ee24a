//! A device that replays recorded events: the sensor's own enrolment, spool, ledger and link,
//! without a kernel underneath. Commands are checked as the sensor checks them; carrying one out
//! only changes the status it tells.

use anyhow::{Context, Result};
use hinomi_model::{DeviceId, Event, ReceiptState, SensorStatus, Text, Timestamp};
use hinomi_sensor::channel::ServerAddress;
use hinomi_sensor::commands::{Known, Ledger};
use hinomi_sensor::enrol::enrol;
use hinomi_sensor::identity::Identity;
use hinomi_sensor::link::{Link, LinkState};
use hinomi_sensor::spool::Spool;
use hinomi_wire::{Command, CommandResult};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Most bytes of the spool.
const SPOOL_BYTES_MAX: u64 = 64 << 20;

/// A replaying device.
pub struct Replay {
    /// Id the server gave.
    pub device_id: DeviceId,
    dir: PathBuf,
    identity: Identity,
    spool: Spool,
    status: Arc<Mutex<SensorStatus>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Replay {
    /// Enrols a device of this name with a one-time token; its files lie in `dir`.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn enrol(token: &str, dir: &Path, name: &str) -> Result<Replay> {
        let capabilities = ["exec", "file", "network", "dns", "prevent", "isolate", "notify"];
        let status = SensorStatus {
            sensor_version: env!("CARGO_PKG_VERSION").to_owned(),
            host_name: name.to_owned(),
            os_platform: "linux".to_owned(),
            os_version: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.1.0-28-amd64".to_owned(),
            ip_addresses: vec!["192.0.2.23".to_owned()],
            logged_on_users: vec!["tanaka".to_owned()],
            capabilities: capabilities.into_iter().map(|name| (name.to_owned(), "ok".to_owned())).collect(),
            memory_bytes: 34 << 20,
            ..SensorStatus::default()
        };
        std::fs::create_dir_all(dir)?;
        let identity = enrol(token, dir, &status).await.context("enrol")?;
        let spool = Spool::open(&dir.join("spool"), SPOOL_BYTES_MAX)?;
        let mut replay = Replay {
            device_id: identity.device_id,
            dir: dir.to_owned(),
            identity,
            spool,
            status: Arc::new(Mutex::new(status)),
            tasks: Vec::new(),
        };
        replay.connect()?;
        Ok(replay)
    }

    /// Connects to the server and stays connected.
    ///
    /// # Errors
    /// When the files of the device are damaged.
    pub fn connect(&mut self) -> Result<()> {
        let ledger = Ledger::open(&self.dir)?;
        let (commands, mut orders) = mpsc::channel(hinomi_sensor::commands::QUEUE);
        let (changes, status_changed) = watch::channel(0);
        let teller = self.status.clone();
        let link = Link {
            identity: self.identity.clone(),
            address: ServerAddress::new(&self.identity.url, None)?,
            spool: self.spool.clone(),
            ledger: ledger.clone(),
            commands,
            status: Arc::new(move || teller.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            status_changed,
            state: Arc::new(LinkState::default()),
        };
        let (device, key, status) = (self.device_id, self.identity.command_key()?, self.status.clone());
        let obey = async move {
            while let Some(signed) = orders.recv().await {
                let Ok(envelope) = hinomi_wire::open(&signed, &key, device, 0, now()) else { continue };
                if ledger.look_up(envelope.command_id) == Known::Done {
                    continue;
                }
                let result = carry_out(&envelope.command, &status);
                let _ = ledger.begin(envelope.command_id, envelope.sequence);
                let _ = ledger.finish(envelope.command_id, result);
                changes.send_modify(|count| *count += 1);
            }
        };
        self.tasks = vec![tokio::spawn(link.run()), tokio::spawn(obey)];
        Ok(())
    }

    /// Loses the connection, as a device that is switched off.
    pub fn disconnect(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }

    /// Spools events of a recording, one JSON object per line, as this device's own and as if they
    /// happened now: `shift_us` is added to every time, `replace` is applied to the text. Returns
    /// how many.
    ///
    /// # Errors
    /// When a line is no event or the spool is full.
    pub fn play(&self, recording: &str, shift_us: i64, replace: &[(String, String)]) -> Result<usize> {
        let mut events = Vec::new();
        for (number, line) in recording.lines().enumerate() {
            let mut value: Value = serde_json::from_str(line).with_context(|| format!("line {}", number + 1))?;
            let recorded = value["DeviceId"].as_str().context("an event without device")?.to_owned();
            let own = (recorded, self.device_id.to_string());
            adapt(&mut value, shift_us, &mut |text| {
                replace.iter().chain([&own]).fold(text, |text, (from, to)| text.replace(from, to))
            });
            let event: Event = serde_json::from_value(value).with_context(|| format!("line {}", number + 1))?;
            events.push(event);
        }
        self.spool.append(&mut events)?;
        Ok(events.len())
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// Time of the machine.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or_default())
}

fn adapt(value: &mut Value, shift_us: i64, change: &mut impl FnMut(String) -> String) {
    match value {
        Value::String(text) => {
            let text = std::mem::take(text);
            let moved = Timestamp::parse(&text).map(|at| Timestamp::from_micros(at.as_micros() + shift_us).to_string());
            *value = Value::String(moved.unwrap_or_else(|| change(text)));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| adapt(item, shift_us, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| adapt(field, shift_us, change)),
        _ => {}
    }
}

fn carry_out(command: &Command, status: &Mutex<SensorStatus>) -> CommandResult {
    let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
    let (en, ja) = match command {
        Command::StopProcessTree { .. } => ("1 process stopped", "1 個のプロセスを停止しました"),
        Command::QuarantineFile { .. } => ("1 file quarantined", "1 個のファイルを隔離しました"),
        Command::RestoreFile { .. } => ("1 file restored", "1 個のファイルを復元しました"),
        Command::Isolate { .. } => {
            status.isolated = true;
            ("network isolated", "ネットワークから隔離しました")
        }
        Command::Release => {
            status.isolated = false;
            ("network restored", "ネットワークを復旧しました")
        }
        Command::SetBlockedHashes { version, .. } => {
            status.block_list_version = *version;
            ("block list in force", "ブロック リストを適用しました")
        }
        Command::SetRules { version, .. } => {
            status.rules_version = *version;
            ("rules in force", "ルールを適用しました")
        }
        Command::CollectStatus => ("status collected", "状態を取得しました"),
        Command::Notify { .. } => ("shown in 1 place", "1 か所に表示しました"),
    };
    CommandResult {
        state: ReceiptState::Done,
        detail: Text { en: en.to_owned(), ja: ja.to_owned() },
        proof: json!({ "replayed": true }),
        status: Some(status.clone()),
        at: now(),
    }
}
