//! Enrolment: a one-time token becomes a client certificate.

use crate::channel::{self, ChannelError, ServerAddress};
use crate::identity::{Identity, IdentityError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hinomi_model::SensorStatus;
use hinomi_wire::proto::EnrolRequest;
use hinomi_wire::proto::sensor_link_client::SensorLinkClient;
use hinomi_wire::{EnrolmentToken, TokenError};
use std::path::{Path, PathBuf};
use std::time::Duration;

const ENROL_TIMEOUT: Duration = Duration::from_secs(30);

/// Enrolment failed; nothing was changed on this device.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The folder already holds an identity.
    #[error("{0} is already enrolled")]
    AlreadyEnrolled(PathBuf),
    /// The line is not a token.
    #[error("read the token")]
    Token(#[from] TokenError),
    /// Key or request cannot be made.
    #[error("make key and certificate request")]
    Key(#[from] rcgen::Error),
    /// The server cannot be reached, or is not the token's.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The server said no.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The answer is not what was asked for.
    #[error("the server's answer is not usable: {0}")]
    Answer(&'static str),
    /// The identity cannot be stored.
    #[error(transparent)]
    Store(#[from] IdentityError),
}

/// Enrols this device with the token and stores the identity in `data`.
///
/// # Errors
/// [`EnrolError`]; the token is used up only when the server answered.
pub async fn enrol(token: &str, data: &Path, status: &SensorStatus) -> Result<Identity, EnrolError> {
    if Identity::exists(data) {
        return Err(EnrolError::AlreadyEnrolled(data.to_owned()));
    }
    let token = EnrolmentToken::decode(token)?;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let request = rcgen::CertificateParams::new(Vec::new())?.serialize_request(&key)?;
    let address = ServerAddress::new(&token.url, None)?;
    let channel = channel::connect_anonymous(&address, &token.url, &token.authority).await?;
    let call = EnrolRequest {
        secret: token.secret.clone(),
        certificate_request: request.der().to_vec().into(),
        status: serde_json::to_vec(status).expect("a status always serialises").into(),
    };
    let reply = tokio::time::timeout(ENROL_TIMEOUT, SensorLinkClient::new(channel).enrol(call))
        .await
        .map_err(|_| EnrolError::Refused("no answer in time".to_owned()))?
        .map_err(|status| EnrolError::Refused(status.message().to_owned()))?
        .into_inner();
    let authority = STANDARD.encode(&reply.authority);
    if STANDARD.decode(&token.authority).ok().as_deref() != Some(&reply.authority[..]) {
        return Err(EnrolError::Answer("it names another authority than the token"));
    }
    let identity = Identity {
        device_id: reply.device_id.parse().map_err(|_| EnrolError::Answer("the device id is none"))?,
        url: token.url,
        authority,
        certificate: STANDARD.encode(&reply.certificate),
        command_key: STANDARD.encode(&reply.command_key),
        key_pem: key.serialize_pem(),
    };
    identity.command_key()?;
    // refuses a certificate that is not for our key
    channel::check(&address, &identity)?;
    identity.save(data)?;
    Ok(identity)
}
