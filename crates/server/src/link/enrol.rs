//! Enrolment: a one-time token becomes a device with a certificate.

use crate::app::Ctx;
use crate::{ids, keys};
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hinomi_model::{Device, DeviceId, SensorStatus, Timestamp, TokenId};
use hinomi_store::{EnrolmentTokenRow, NewAudit};
use hinomi_wire::EnrolmentToken;
use hinomi_wire::proto::{EnrolReply, EnrolRequest};
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status};

/// Most bytes of the certificate request and of the status.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// A token just made; its line is shown once.
pub struct NewToken {
    /// Id.
    pub id: TokenId,
    /// The line to copy onto the endpoint.
    pub line: String,
    /// End of its life.
    pub expires_at: Timestamp,
}

/// Makes a one-time enrolment token.
///
/// # Errors
/// When the store fails.
pub async fn new_token(ctx: &Ctx, note: &str, created_by: &str, lifetime_seconds: i64) -> Result<NewToken> {
    let secret = URL_SAFE_NO_PAD.encode(keys::random::<32>());
    let id: TokenId = ids::new();
    let now = ctx.now();
    let expires_at = now.plus_seconds(lifetime_seconds);
    let row = EnrolmentTokenRow {
        id,
        secret_sha256: hash(secret.as_bytes()),
        note: note.to_owned(),
        created_by: created_by.to_owned(),
        created_at: now,
        expires_at,
        used_by: None,
    };
    let mut tx = ctx.store.begin().await?;
    tx.add_enrolment_token(&row).await?;
    tx.audit(&NewAudit {
        at: now,
        actor: created_by.to_owned(),
        action: "enrolment_token.create".to_owned(),
        target: id.to_string(),
        detail: serde_json::json!({"note": note, "expires_at": expires_at}).to_string(),
        address: String::new(),
        result: "ok".to_owned(),
    })
    .await?;
    tx.commit().await?;
    let token =
        EnrolmentToken { url: ctx.urls.sensors.clone(), authority: STANDARD.encode(&ctx.keys.authority_der), secret };
    Ok(NewToken { id, line: token.encode(), expires_at })
}

/// Answers an enrolment request.
pub(super) async fn enrol(ctx: &Ctx, request: Request<EnrolRequest>) -> Result<Response<EnrolReply>, Status> {
    let address = request.remote_addr().map(|address| address.ip().to_string()).unwrap_or_default();
    let request = request.into_inner();
    if request.certificate_request.len() > REQUEST_BYTES_MAX || request.status.len() > REQUEST_BYTES_MAX {
        return Err(Status::invalid_argument("request too large"));
    }
    let status: SensorStatus =
        serde_json::from_slice(&request.status).map_err(|_| Status::invalid_argument("status is not readable"))?;
    let id: DeviceId = ids::new();
    let certificate = ctx
        .keys
        .issue_device(id, &request.certificate_request)
        .map_err(|_| Status::invalid_argument("certificate request is not valid"))?;
    let now = ctx.now();
    let name = device_name(&status.host_name);
    let device = Device { status, certificate_sha256: hash(&certificate), ..Device::new(id, &name, now) };
    let stored = store(ctx, &request.secret, &device, &address).await.map_err(|error| {
        tracing::error!(error = %format_args!("{error:#}"), "enrolment could not be stored");
        Status::unavailable("enrolment could not be stored, try again")
    })?;
    if !stored {
        return Err(Status::permission_denied("enrolment token is unknown, used or expired"));
    }
    tracing::info!(device.id = %id, device.name = %device.name, "device {} enrolled", device.name);
    ctx.live.send(crate::live::LiveEvent {
        event: "device.status",
        id: id.to_string(),
        version: 1,
        number: None,
        progress: None,
    });
    Ok(Response::new(EnrolReply {
        device_id: id.to_string(),
        certificate: certificate.to_vec().into(),
        authority: ctx.keys.authority_der.to_vec().into(),
        command_key: ctx.keys.command_public().into(),
    }))
}

/// Spends the token and stores the device in one transaction; false when the token is no good.
async fn store(ctx: &Ctx, secret: &str, device: &Device, address: &str) -> Result<bool> {
    let mut tx = ctx.store.begin().await?;
    let token = tx.use_enrolment_token(&hash(secret.as_bytes()), device.id, device.enrolled_at).await?;
    let mut audit = NewAudit {
        at: device.enrolled_at,
        actor: "sensor".to_owned(),
        action: "device.enrol".to_owned(),
        target: device.id.to_string(),
        detail: "{}".to_owned(),
        address: address.to_owned(),
        result: "ok".to_owned(),
    };
    match token {
        Some(token) => {
            audit.detail = serde_json::json!({"token": token, "name": device.name}).to_string();
            tx.put_device(device).await?;
        }
        None => audit.result = "token unknown, used or expired".to_owned(),
    }
    tx.audit(&audit).await?;
    tx.commit().await?;
    Ok(token.is_some())
}

/// A host name is untrusted text: at most 253 characters, none of them a control character.
fn device_name(host: &str) -> String {
    let name: String = host.chars().filter(|c| !c.is_control()).take(253).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

pub(super) fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
