//! One connection of one sensor.

use super::enrol::hash;
use super::hub::{Connection, Sender};
use crate::app::Ctx;
use crate::ingest::IngestError;
use crate::live::LiveEvent;
use hinomi_model::{DeviceId, IsolationState, SensorHealth, SensorStatus};
use hinomi_wire::proto::{Ack, Batch, FromSensor, Hello, Receipt, ToSensor, Welcome, from_sensor, to_sensor};
use hinomi_wire::{CommandResult, PROTOCOL_VERSION};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Messages waiting for a slow sensor.
const OUTGOING_MAX: usize = 256;
/// Most bytes of a status or a command result.
const JSON_BYTES_MAX: usize = 256 * 1024;

type Answers = ReceiverStream<Result<ToSensor, Status>>;

/// Opens the stream of a sensor that showed a valid certificate.
pub(super) async fn open(ctx: &Ctx, request: Request<Streaming<FromSensor>>) -> Result<Response<Answers>, Status> {
    let device = authenticate(ctx, &request).await?;
    let mut incoming = request.into_inner();
    let hello = match incoming.message().await?.and_then(|message| message.message) {
        Some(from_sensor::Message::Hello(hello)) => hello,
        _ => return Err(Status::failed_precondition("the first message must be Hello")),
    };
    if hello.protocol_version != PROTOCOL_VERSION {
        let wanted = format!("protocol version {} wanted, {} offered", PROTOCOL_VERSION, hello.protocol_version);
        return Err(Status::failed_precondition(wanted));
    }
    let (sender, answers) = mpsc::channel(OUTGOING_MAX);
    let session = Session { ctx: ctx.clone(), device, sender };
    tokio::spawn(async move { session.run(hello, incoming).await });
    Ok(Response::new(ReceiverStream::new(answers)))
}

/// The device of the client certificate, if it is enrolled and not revoked.
async fn authenticate(ctx: &Ctx, request: &Request<Streaming<FromSensor>>) -> Result<DeviceId, Status> {
    let certificates = request.peer_certs().ok_or_else(|| Status::unauthenticated("client certificate wanted"))?;
    let certificate = certificates.first().ok_or_else(|| Status::unauthenticated("client certificate wanted"))?;
    let refused = || Status::unauthenticated("client certificate is not that of an enrolled device");
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| refused())?;
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).ok_or_else(refused)?;
    let device: DeviceId = name.parse().map_err(|_| refused())?;
    let known = match ctx.store.device(device).await {
        Ok(Some(known)) => known,
        Ok(None) => return Err(refused()),
        Err(error) => {
            tracing::error!(error = %error, "device {device} could not be read");
            return Err(Status::unavailable("store is not available"));
        }
    };
    if known.health == SensorHealth::Revoked || known.certificate_sha256 != hash(certificate) {
        return Err(Status::permission_denied("client certificate is revoked"));
    }
    Ok(device)
}

struct Session {
    ctx: Ctx,
    device: DeviceId,
    sender: Sender,
}

impl Session {
    async fn run(self, hello: Hello, incoming: Streaming<FromSensor>) {
        let device = self.device;
        let mut connection = None;
        let ended = self.talk(hello, incoming, &mut connection).await;
        if let Err(status) = &ended {
            // the sensor reads the reason and tries again
            let _ = self.sender.try_send(Err(status.clone()));
        }
        let reason = ended.err().map(|status| status.message().to_owned()).unwrap_or_default();
        tracing::info!(device.id = %device, reason, "sensor {device} disconnected");
        if connection.is_some_and(|connection| self.ctx.hub.disconnect(device, &connection)) {
            self.update(None, false).await;
        }
    }

    /// Talks until one side ends; `registered` gets the connection as soon as the hub has it.
    async fn talk(
        &self,
        hello: Hello,
        mut incoming: Streaming<FromSensor>,
        registered: &mut Option<Connection>,
    ) -> Result<(), Status> {
        let status = read_status(&hello.status)?;
        let acknowledged = self.ctx.ingest.stored(self.device, hello.generation).await.map_err(|error| {
            tracing::error!(error = %error, "progress of {} could not be read", self.device);
            Status::unavailable("store is not available")
        })?;
        let welcome =
            Welcome { protocol_version: PROTOCOL_VERSION, acknowledged, server_time_us: self.ctx.now().as_micros() };
        // a sensor takes nothing before the Welcome: the hub may send from here on only
        self.answer(to_sensor::Message::Welcome(welcome)).await?;
        let (connection, open) = self.ctx.hub.open(&self.ctx, self.device, self.sender.clone()).await;
        let end = connection.end.clone();
        *registered = Some(connection);
        tracing::info!(device.id = %self.device, "sensor {} connected", self.device);
        self.update(Some(&status), true).await;
        let on_the_way = open.map_err(|error| {
            tracing::error!(error = %error, "open commands of {} could not be read", self.device);
            Status::unavailable("store is not available")
        })?;
        crate::indicators::on_connect(&self.ctx, self.device, status.block_list_version.max(on_the_way.block_list))
            .await;
        crate::rules::on_connect(&self.ctx, self.device, on_the_way.rules.unwrap_or(status.rules_version)).await;
        crate::investigations::on_connect(&self.ctx, self.device).await;
        loop {
            let message = tokio::select! {
                message = incoming.message() => message?,
                () = self.ctx.stop.cancelled() => return Err(Status::unavailable("server stops")),
                () = end.cancelled() => return Err(Status::aborted("connect again")),
                () = self.sender.closed() => return Ok(()),
            };
            match message.map(|message| message.message) {
                None => return Ok(()),
                Some(Some(from_sensor::Message::Batch(batch))) => self.batch(batch).await?,
                Some(Some(from_sensor::Message::Receipt(receipt))) => self.receipt(receipt).await?,
                Some(Some(from_sensor::Message::Status(status))) => {
                    let status = read_status(&status.status)?;
                    self.update(Some(&status), true).await;
                }
                Some(Some(from_sensor::Message::Hello(_)) | None) => {
                    return Err(Status::invalid_argument("unexpected message"));
                }
            }
        }
    }

    async fn batch(&self, batch: Batch) -> Result<(), Status> {
        let Batch { generation, first_report_id, count, events } = batch;
        let stored =
            self.ctx.ingest.append_sensor(self.device, generation, first_report_id, count as usize, &events).await;
        let through_report_id = stored.map_err(|error| {
            tracing::warn!(device.id = %self.device, error = %error, "batch of {} refused", self.device);
            match &error {
                IngestError::Log(_) | IngestError::Store(_) => Status::unavailable("events cannot be stored now"),
                IngestError::Gap { .. } => Status::out_of_range(error.to_string()),
                IngestError::Batch(_) | IngestError::Forged { .. } => Status::invalid_argument(error.to_string()),
            }
        })?;
        self.answer(to_sensor::Message::Ack(Ack { generation, through_report_id })).await
    }

    async fn receipt(&self, receipt: Receipt) -> Result<(), Status> {
        let unreadable = || Status::invalid_argument("receipt is not readable");
        if receipt.result.len() > JSON_BYTES_MAX {
            return Err(unreadable());
        }
        let id = receipt.command_id.parse().map_err(|_| unreadable())?;
        let result: CommandResult = serde_json::from_slice(&receipt.result).map_err(|_| unreadable())?;
        if let Some(status) = &result.status {
            self.update(Some(status), true).await;
        }
        crate::actions::on_command_result(&self.ctx, self.device, id, result).await.map_err(|error| {
            tracing::error!(device.id = %self.device, error = %format_args!("{error:#}"), "receipt {id} could not be stored");
            Status::unavailable("receipt cannot be stored now")
        })
    }

    async fn answer(&self, message: to_sensor::Message) -> Result<(), Status> {
        let sent = self.sender.send(Ok(ToSensor { message: Some(message) })).await;
        sent.map_err(|_| Status::cancelled("sensor is gone"))
    }

    /// Writes what the sensor says of itself into its device; a lost write is repaired by the next status.
    async fn update(&self, status: Option<&SensorStatus>, online: bool) {
        match self.try_update(status, online).await {
            Ok(None) => {}
            Ok(Some(version)) => self.ctx.live.send(LiveEvent {
                event: "device.status",
                id: self.device.to_string(),
                version,
                number: None,
                progress: None,
            }),
            Err(error) => tracing::warn!(error = %error, "status of {} could not be stored", self.device),
        }
    }

    async fn try_update(
        &self,
        status: Option<&SensorStatus>,
        online: bool,
    ) -> Result<Option<i64>, hinomi_store::StoreError> {
        let mut tx = self.ctx.store.begin().await?;
        let Some(mut device) = tx.device(self.device).await? else { return Ok(None) };
        let expected = device.version;
        device.online = online;
        device.last_seen = self.ctx.now();
        if let Some(status) = status {
            let impaired = status.capabilities.values().any(|state| state != "ok");
            device.health = if impaired { SensorHealth::Impaired } else { SensorHealth::Active };
            device.isolation = match (device.isolation, status.isolated) {
                (IsolationState::Isolating, false) => IsolationState::Isolating,
                (IsolationState::Releasing, true) => IsolationState::Releasing,
                (_, true) => IsolationState::Isolated,
                (_, false) => IsolationState::NotIsolated,
            };
            device.status = status.clone();
        }
        let device = tx.update_device(&device, expected).await?;
        tx.commit().await?;
        Ok(Some(device.version))
    }
}

fn read_status(bytes: &[u8]) -> Result<SensorStatus, Status> {
    if bytes.len() > JSON_BYTES_MAX {
        return Err(Status::invalid_argument("status too large"));
    }
    serde_json::from_slice(bytes).map_err(|_| Status::invalid_argument("status is not readable"))
}
