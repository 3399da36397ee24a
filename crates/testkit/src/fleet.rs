//! Fake sensors that speak the real protocol over real mutual TLS and remember exactly what they
//! were promised and told: the ground truth of crash tests.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hinomi_model::{CommandId, DeviceId, Event, ReceiptState, SensorStatus, Text, Timestamp};
use hinomi_wire::proto::sensor_link_client::SensorLinkClient;
use hinomi_wire::proto::{
    Batch, EnrolRequest, FromSensor, Hello, Receipt, SignedCommand, Status, ToSensor, from_sensor, to_sensor,
};
use hinomi_wire::{Command, CommandEnvelope, CommandResult, EnrolmentToken, PROTOCOL_VERSION};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Most events of one batch: small, so that a kill falls between batches of one happening.
const BATCH_MAX: usize = 40;
/// Batches sent and not acknowledged.
const WINDOW: usize = 8;
/// Pause before connecting again.
const RECONNECT: Duration = Duration::from_millis(50);
const CONNECT: Duration = Duration::from_secs(5);

/// What a fake sensor has, was promised and was told.
#[derive(Default)]
pub struct Memory {
    /// Its events; the one with ReportId n lies at n - 1.
    pub events: Vec<Event>,
    /// Highest ReportId the server ever acknowledged.
    pub acknowledged: u64,
    /// Commands carried out, in order, each once, with their results.
    pub obeyed: Vec<(CommandEnvelope, CommandResult)>,
    /// Commands that came again after they were carried out.
    pub repeated: usize,
    /// Version of the block list in force.
    pub block_list_version: u64,
    /// Connections that were welcomed.
    pub connections: usize,
    /// Promises the server broke.
    pub broken: Vec<String>,
}

/// A fake sensor; cheap to clone, ends when the last clone is gone.
#[derive(Clone)]
pub struct FakeSensor {
    /// Its device.
    pub device: DeviceId,
    name: String,
    memory: Arc<Mutex<Memory>>,
    more: Arc<Notify>,
    _task: Arc<Task>,
}

struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Link {
    device: DeviceId,
    name: String,
    endpoint: Endpoint,
    command_key: Vec<u8>,
    memory: Arc<Mutex<Memory>>,
    more: Arc<Notify>,
}

impl FakeSensor {
    /// Enrols with a one-time token and keeps a connection from then on.
    pub async fn enrol(token: &str, name: &str) -> Result<FakeSensor> {
        let token = EnrolmentToken::decode(token)?;
        let key = rcgen::KeyPair::generate()?;
        let request = rcgen::CertificateParams::new(Vec::new())?.serialize_request(&key)?;
        let authority = Certificate::from_pem(pem(&token.authority));
        let tls = ClientTlsConfig::new().ca_certificate(authority.clone());
        let endpoint = |tls| Endpoint::from_shared(token.url.clone())?.connect_timeout(CONNECT).tls_config(tls);
        let call = EnrolRequest {
            secret: token.secret.clone(),
            certificate_request: request.der().to_vec().into(),
            status: status_json(name, 0).into(),
        };
        let channel = endpoint(tls.clone())?.connect().await?;
        let reply = SensorLinkClient::new(channel).enrol(call).await?.into_inner();
        let own = Identity::from_pem(pem(&STANDARD.encode(&reply.certificate)), key.serialize_pem());
        let (memory, more) = (Arc::<Mutex<Memory>>::default(), Arc::<Notify>::default());
        let device = reply.device_id.parse()?;
        let link = Link {
            device,
            name: name.to_owned(),
            endpoint: endpoint(tls.identity(own))?,
            command_key: reply.command_key.to_vec(),
            memory: memory.clone(),
            more: more.clone(),
        };
        let task = Arc::new(Task(tokio::spawn(link.run())));
        Ok(FakeSensor { device, name: name.to_owned(), memory, more, _task: task })
    }

    /// Puts events into the spool; the device and the ReportId are set.
    pub fn spool(&self, events: impl IntoIterator<Item = Event>) {
        let mut memory = self.memory();
        for mut event in events {
            let report_id = memory.events.len() as i64 + 1;
            event.set("DeviceId", self.device.to_string()).set("DeviceName", self.name.as_str());
            event.set("ReportId", report_id);
            memory.events.push(event);
        }
        drop(memory);
        self.more.notify_one();
    }

    /// What it has, was promised and was told.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when everything spooled is acknowledged.
    pub fn is_empty(&self) -> bool {
        let memory = self.memory();
        memory.acknowledged == memory.events.len() as u64
    }
}

impl Link {
    async fn run(self) {
        loop {
            // every end is one of the test's making; what counts is what was promised
            let _ = self.session().await;
            tokio::time::sleep(RECONNECT).await;
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn session(&self) -> Result<()> {
        let channel: Channel = self.endpoint.connect().await?;
        let (up, messages) = mpsc::channel(16);
        let (version, last) = {
            let memory = self.memory();
            let last = memory.obeyed.iter().map(|(envelope, _)| envelope.sequence).max();
            (memory.block_list_version, last.unwrap_or_default())
        };
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            status: status_json(&self.name, version).into(),
            generation: 1,
            command_sequence: last,
        };
        up.send(from(from_sensor::Message::Hello(hello))).await?;
        let mut client = SensorLinkClient::new(channel).max_decoding_message_size(16 * 1024 * 1024);
        let mut down = client.link(ReceiverStream::new(messages)).await?.into_inner();
        let first = tokio::time::timeout(CONNECT, down.message()).await??;
        let Some(ToSensor { message: Some(to_sensor::Message::Welcome(welcome)) }) = first else {
            if let Some(other) = first {
                self.memory().broken.push(format!("before the Welcome came {other:?}"));
            }
            bail!("no Welcome");
        };
        self.promised(welcome.acknowledged, true);
        self.memory().connections += 1;
        let mut sent = welcome.acknowledged;
        let mut flight = 0_usize;
        loop {
            while flight < WINDOW
                && let Some(batch) = self.batch_after(sent)?
            {
                sent += u64::from(batch.count);
                flight += 1;
                up.send(from(from_sensor::Message::Batch(batch))).await?;
            }
            tokio::select! {
                message = down.message() => match message?.context("closed")?.message {
                    Some(to_sensor::Message::Ack(ack)) => {
                        flight = flight.saturating_sub(1);
                        self.promised(ack.through_report_id, false);
                    }
                    Some(to_sensor::Message::Command(command)) => self.obey(&command, &up).await?,
                    _ => {}
                },
                () = self.more.notified() => {}
            }
        }
    }

    /// Notes an acknowledgement. The server may never take one back: what it acknowledged is not
    /// sent again.
    fn promised(&self, through: u64, welcome: bool) {
        let mut memory = self.memory();
        if welcome && through < memory.acknowledged {
            let text = format!("acknowledged {} before and {through} after a restart", memory.acknowledged);
            memory.broken.push(text);
        }
        if through > memory.events.len() as u64 {
            memory.broken.push(format!("acknowledged {through}, which was never sent"));
        }
        memory.acknowledged = memory.acknowledged.max(through);
    }

    fn batch_after(&self, sent: u64) -> Result<Option<Batch>> {
        let events: Vec<Event> = self.memory().events.iter().skip(sent as usize).take(BATCH_MAX).cloned().collect();
        if events.is_empty() {
            return Ok(None);
        }
        let frame = hinomi_wire::pack(&events)?;
        Ok(Some(Batch { generation: 1, first_report_id: sent + 1, count: events.len() as u32, events: frame.into() }))
    }

    /// Carries a command out (in thought), once, and tells the same result ever after.
    async fn obey(&self, signed: &SignedCommand, up: &mpsc::Sender<FromSensor>) -> Result<()> {
        let opened = hinomi_wire::open(signed, &self.command_key, self.device, 0, Timestamp::from_micros(i64::MIN))?;
        let id: CommandId = opened.command_id;
        let result = {
            let mut memory = self.memory();
            let known = memory.obeyed.iter().find(|(envelope, _)| envelope.command_id == id);
            let known = known.map(|(_, result)| result.clone());
            let last = memory.obeyed.last().map(|(envelope, _)| envelope.sequence).unwrap_or_default();
            match known {
                Some(result) => {
                    memory.repeated += 1;
                    result
                }
                None => {
                    if opened.sequence <= last {
                        let text = format!("command {} came after {last}: a sensor refuses it", opened.sequence);
                        memory.broken.push(text);
                    }
                    if let Command::SetBlockedHashes { version, .. } = &opened.command {
                        memory.block_list_version = memory.block_list_version.max(*version);
                    }
                    let result = CommandResult {
                        state: ReceiptState::Done,
                        detail: Text::same("done by a fake sensor"),
                        proof: serde_json::json!({"sequence": opened.sequence}),
                        status: None,
                        at: opened.issued_at,
                    };
                    memory.obeyed.push((opened, result.clone()));
                    result
                }
            }
        };
        let receipt = Receipt { command_id: id.to_string(), result: serde_json::to_vec(&result)?.into() };
        up.send(from(from_sensor::Message::Receipt(receipt))).await?;
        let status = status_json(&self.name, self.memory().block_list_version);
        up.send(from(from_sensor::Message::Status(Status { status: status.into() }))).await?;
        Ok(())
    }
}

fn from(message: from_sensor::Message) -> FromSensor {
    FromSensor { message: Some(message) }
}

fn status_json(name: &str, block_list_version: u64) -> Vec<u8> {
    let status = SensorStatus {
        sensor_version: "fake".to_owned(),
        host_name: name.to_owned(),
        os_platform: "linux".to_owned(),
        block_list_version,
        ..SensorStatus::default()
    };
    serde_json::to_vec(&status).expect("a status always serialises")
}

fn pem(base64_der: &str) -> String {
    let lines: Vec<&str> =
        base64_der.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Checks that the server holds exactly these ReportIds: each of `1..=through` once.
pub fn exactly_once(what: &str, mut held: Vec<i64>, through: i64) -> Result<()> {
    held.sort_unstable();
    let doubled: Vec<i64> = held.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    ensure!(doubled.is_empty(), "{what}: {} events twice, first {:?}", doubled.len(), doubled.first());
    let lost: Vec<i64> = (1..=through).filter(|id| held.binary_search(id).is_err()).collect();
    ensure!(lost.is_empty(), "{what}: {} of {through} events lost, first {:?}", lost.len(), lost.first());
    ensure!(held.first().is_none_or(|first| *first >= 1), "{what}: an event without ReportId");
    Ok(())
}

/// Reads the events of a scenario as if `device` had just seen them: its id takes the place of
/// theirs, and every time is moved so that the last event happened a minute ago.
pub fn replay(text: &str, device: DeviceId) -> Result<Vec<Event>> {
    let events: Vec<Event> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let last = events.iter().map(|event| event.timestamp.as_micros()).max().context("no events")?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_micros() as i64;
    let shift = now - 60_000_000 - last;
    let theirs = events[0].str("DeviceId").context("no DeviceId")?;
    let parts = text.split('"').map(|part| match Timestamp::parse(part) {
        Some(at) => Timestamp::from_micros(at.as_micros() + shift).to_string(),
        None => part.replace(theirs, &device.to_string()),
    });
    let moved = parts.collect::<Vec<_>>().join("\"");
    moved.lines().map(|line| serde_json::from_str(line).context("event of a scenario")).collect()
}
