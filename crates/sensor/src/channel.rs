//! The connection to the server: TLS that trusts one authority only, and addresses that are
//! remembered so that the link survives without name resolution (while isolated, for example).

use crate::files;
use crate::identity::{Identity, certificate_pem};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Most addresses remembered of one name.
const ADDRESSES_MAX: usize = 8;
const ADDRESSES_FILE: &str = "server-addresses.json";

/// No connection could be made.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The address of the server is not `https://host:port`.
    #[error("server address {0:?} is not https://host:port")]
    Url(String),
    /// Keys or certificates do not fit.
    #[error("prepare TLS")]
    Tls(#[source] tonic::transport::Error),
    /// Connecting or the TLS handshake failed.
    #[error("connect to {0}")]
    Connect(String, #[source] tonic::transport::Error),
}

/// Where the server is.
#[derive(Clone)]
pub struct ServerAddress {
    host: String,
    port: u16,
    file: Option<PathBuf>,
    known: Arc<Mutex<Vec<SocketAddr>>>,
    /// The address of the last successful connection.
    peer: Arc<Mutex<Option<SocketAddr>>>,
}

impl ServerAddress {
    /// Reads `https://host:port`; addresses are remembered in `data` when given.
    ///
    /// # Errors
    /// When the text is no such address.
    pub fn new(url: &str, data: Option<&Path>) -> Result<Self, ChannelError> {
        let bad = || ChannelError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("https") {
            return Err(bad());
        }
        let host = uri.host().ok_or_else(bad)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let file = data.map(|data| data.join(ADDRESSES_FILE));
        let known = file.as_deref().and_then(|file| files::read_json(file).ok().flatten()).unwrap_or_default();
        Ok(ServerAddress {
            host,
            port: uri.port_u16().unwrap_or(443),
            file,
            known: Arc::new(Mutex::new(known)),
            peer: Arc::default(),
        })
    }

    /// Returns the addresses isolation must leave open: of the current connection, else all known.
    pub fn pinned(&self) -> Vec<SocketAddr> {
        if let Some(peer) = *self.peer.lock().expect("never poisoned") {
            return vec![peer];
        }
        match self.host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, self.port)],
            Err(_) => self.known.lock().expect("never poisoned").clone(),
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let addresses = self.resolve().await;
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "name does not resolve and no address is known");
        for address in addresses {
            match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    *self.peer.lock().expect("never poisoned") = Some(address);
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::Error::new(io::ErrorKind::TimedOut, "no answer"),
            }
        }
        Err(failure)
    }

    /// Fresh addresses of the name first, remembered ones after.
    async fn resolve(&self) -> Vec<SocketAddr> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return vec![SocketAddr::new(ip, self.port)];
        }
        let known = self.known.lock().expect("never poisoned").clone();
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let mut addresses: Vec<SocketAddr> = match tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await {
            Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect(),
            _ => Vec::new(),
        };
        if !addresses.is_empty() && addresses != known {
            self.remember(&addresses);
        }
        addresses.extend(known.into_iter().filter(|old| old.port() == self.port));
        addresses.dedup();
        addresses
    }

    fn remember(&self, addresses: &[SocketAddr]) {
        *self.known.lock().expect("never poisoned") = addresses.to_vec();
        if let Some(file) = &self.file
            && let Err(error) = files::write_json(file, &addresses)
        {
            tracing::warn!(%error, "cannot remember the server's addresses");
        }
    }
}

/// Connects without a client certificate, for enrolment.
///
/// # Errors
/// When the server cannot be reached or is not the one of `authority` (DER in base64).
pub async fn connect_anonymous(address: &ServerAddress, url: &str, authority: &str) -> Result<Channel, ChannelError> {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(certificate_pem(authority)))
        .domain_name(address.host.clone());
    connect(address, url, tls).await
}

/// Connects as the enrolled device.
///
/// # Errors
/// When the server cannot be reached, is another one, or refuses the certificate.
pub async fn connect_as(address: &ServerAddress, identity: &Identity) -> Result<Channel, ChannelError> {
    connect(address, &identity.url, client_tls(address, identity)).await
}

/// Checks that key, certificate and authority can be used together.
///
/// # Errors
/// When they cannot.
pub fn check(address: &ServerAddress, identity: &Identity) -> Result<(), ChannelError> {
    endpoint(&identity.url, client_tls(address, identity)).map(drop)
}

fn client_tls(address: &ServerAddress, identity: &Identity) -> ClientTlsConfig {
    let own = tonic::transport::Identity::from_pem(certificate_pem(&identity.certificate), &identity.key_pem);
    ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(certificate_pem(&identity.authority)))
        .domain_name(address.host.clone())
        .identity(own)
}

fn endpoint(url: &str, tls: ClientTlsConfig) -> Result<Endpoint, ChannelError> {
    Ok(Endpoint::from_shared(url.to_owned())
        .map_err(|_| ChannelError::Url(url.to_owned()))?
        .tls_config(tls)
        .map_err(ChannelError::Tls)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .user_agent(concat!("hinomi-sensor/", env!("CARGO_PKG_VERSION")))
        .expect("a version is a valid header value"))
}

async fn connect(address: &ServerAddress, url: &str, tls: ClientTlsConfig) -> Result<Channel, ChannelError> {
    let target = address.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let target = target.clone();
        async move { target.connect().await.map(TokioIo::new) }
    });
    endpoint(url, tls)?
        .connect_with_connector(connector)
        .await
        .map_err(|source| ChannelError::Connect(url.to_owned(), source))
}
