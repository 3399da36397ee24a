//! The local door: `hinomi-sensor status` and `release` ask the running sensor over a socket in the
//! data folder, which only root can enter.

use crate::device::Device;
use crate::files;
use crate::respond::isolate::Isolation;
use hinomi_model::SensorStatus;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const SOCKET: &str = "control.sock";
const REQUEST_BYTES_MAX: u64 = 4096;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Status,
    Release { code: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Status { online: bool, device_id: String, url: String, status: Box<SensorStatus> },
    Done,
    Refused { reason: String },
}

/// What the running sensor says.
#[derive(Debug, Clone, Serialize)]
pub struct LocalStatus {
    /// True while connected to the server.
    pub online: bool,
    /// Id of the device.
    pub device_id: String,
    /// Address of the server.
    pub url: String,
    /// The status, as the server gets it.
    pub status: SensorStatus,
}

/// Answers local questions until the runtime ends.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(
    data: &Path,
    device: Arc<Device>,
    url: String,
    online: impl Fn() -> bool + Send + Sync + 'static,
) -> io::Result<()> {
    let path = data.join(SOCKET);
    files::remove(&path)?;
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let online = Arc::new(online);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (device, url, online) = (device.clone(), url.clone(), online.clone());
            tokio::spawn(async move {
                let talk = tokio::time::timeout(ANSWER_TIMEOUT, talk(stream, device, url, online()));
                if let Ok(Err(error)) = talk.await {
                    tracing::debug!(%error, "local question without an answer");
                }
            });
        }
    });
    Ok(())
}

async fn talk(mut stream: tokio::net::UnixStream, device: Arc<Device>, url: String, online: bool) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    tokio::io::BufReader::new(read.take(REQUEST_BYTES_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => tokio::task::spawn_blocking(move || answer(&device, url, online, request))
            .await
            .map_err(io::Error::other)?,
        Err(error) => Answer::Refused { reason: error.to_string() },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    write.write_all(&text).await
}

fn answer(device: &Device, url: String, online: bool, request: Request) -> Answer {
    match request {
        Request::Status => Answer::Status {
            online,
            url,
            device_id: device.identity.device_id.to_string(),
            status: Box::new(device.status()),
        },
        Request::Release { code } => match device.isolation.release_with_code(&code) {
            Ok(()) => {
                tracing::warn!("isolation was released on the device with its code");
                device.status_changed();
                Answer::Done
            }
            Err(error) => Answer::Refused { reason: crate::chain(&error) },
        },
    }
}

fn ask(data: &Path, request: &Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(data.join(SOCKET))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Asks the running sensor how it is.
///
/// # Errors
/// When no sensor runs on this data folder.
pub fn status(data: &Path) -> io::Result<LocalStatus> {
    match ask(data, &Request::Status)? {
        Answer::Status { online, device_id, url, status } => {
            Ok(LocalStatus { online, device_id, url, status: *status })
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the sensor gave no status")),
    }
}

/// Ends isolation with its code, through the running sensor, or without one when none runs.
///
/// # Errors
/// When the code is wrong.
pub fn release(data: &Path, code: &str) -> anyhow::Result<()> {
    match ask(data, &Request::Release { code: code.to_owned() }) {
        Ok(Answer::Done) => Ok(()),
        Ok(Answer::Refused { reason }) => anyhow::bail!(reason),
        Ok(Answer::Status { .. }) => anyhow::bail!("the sensor gave another answer"),
        // nobody listens: the rules in the kernel outlive the sensor
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(Isolation::open(data, true)?.release_with_code(code)?)
        }
        Err(error) => Err(error.into()),
    }
}
