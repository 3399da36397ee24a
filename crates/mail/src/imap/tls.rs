//! Protection of the connection.

use super::{ImapError, Server};
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Where Debian's package ca-certificates keeps them.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all: loopback and private networks only.
    None,
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS; without it nothing is sent.
    StartTls,
}

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub struct Trust(pub(super) Arc<rustls::ClientConfig>);

impl Trust {
    /// Believes nobody: for connections without TLS.
    pub fn nobody() -> Self {
        Trust::with(RootCertStore::empty())
    }

    /// Believes the authorities the system believes.
    ///
    /// # Errors
    /// When the system's list cannot be read.
    pub fn system() -> Result<Self, ImapError> {
        Trust::file(Path::new(SYSTEM_AUTHORITIES))
    }

    /// Believes the certificates of a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn file(path: &Path) -> Result<Self, ImapError> {
        let shown = path.display().to_string();
        let fail = |text: String| ImapError::Tls(shown.clone(), text);
        let mut roots = RootCertStore::empty();
        let certificates =
            rustls::pki_types::CertificateDer::pem_file_iter(path).map_err(|error| fail(error.to_string()))?;
        for certificate in certificates {
            roots
                .add(certificate.map_err(|error| fail(error.to_string()))?)
                .map_err(|error| fail(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(fail("no certificate in the file".to_owned()));
        }
        Ok(Trust::with(roots))
    }

    fn with(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Trust(Arc::new(config))
    }
}

/// A connection, protected or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Puts TLS around a connection.
pub(super) async fn protect(server: &Server, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, ImapError> {
    let fail = |text: String| ImapError::Tls(server.host.clone(), text);
    let name = ServerName::try_from(server.host.clone()).map_err(|error| fail(error.to_string()))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&server.trust.0));
    let stream = connector.connect(name, stream).await.map_err(|error| fail(error.to_string()))?;
    Ok(Box::new(stream))
}
