//! Notifications to a SIEM by syslog: RFC 5424 over UDP, TCP or TLS, the message in CEF or JSON.

use crate::notice::{Notice, cut};
use crate::webhook::data;
use hinomi_model::Severity;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A server that does not answer costs at most this.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Facility "log audit" (RFC 5424 table 1).
const FACILITY: u8 = 13;
/// Longest message, bytes; RFC 5425 asks receivers for 8,192.
const MESSAGE_BYTES_MAX: usize = 8_192;
/// Longest datagram, bytes; RFC 5426 asks receivers for 2,048.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// Longest value of a CEF field, characters.
const VALUE_CHARS_MAX: usize = 1_000;

/// How the message looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogForm {
    /// ArcSight Common Event Format, version 0.
    Cef,
    /// One JSON object.
    Json,
}

/// A syslog server.
#[derive(Clone)]
pub struct Syslog {
    /// `udp://host:port`, `tcp://…` or `tls://…`.
    pub url: String,
    /// Form of the message.
    pub form: SyslogForm,
    /// Authorities in PEM, for TLS.
    pub authorities: Vec<u8>,
    /// Host name of this server.
    pub host: String,
}

/// A notification could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SyslogError {
    /// Not an address of a syslog server.
    #[error("not a syslog server: {0:?} (udp://, tcp:// or tls://host:port)")]
    Address(String),
    /// The authorities cannot be read.
    #[error("no certificate authority can be read for {0}")]
    Authorities(String),
    /// The connection failed.
    #[error("send to {address}")]
    Send {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl SyslogError {
    /// True when trying again can help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, SyslogError::Send { .. })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Syslog {
    fn target(&self) -> Result<(Transport, &str, u16), SyslogError> {
        let bad = || SyslogError::Address(self.url.clone());
        let (scheme, rest) = self.url.split_once("://").ok_or_else(bad)?;
        let (transport, port) = match scheme {
            "udp" => (Transport::Udp, 514),
            "tcp" => (Transport::Tcp, 601),
            "tls" => (Transport::Tls, 6514),
            _ => return Err(bad()),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, text)) if !host.ends_with(':') => (host, text.parse().map_err(|_| bad())?),
            _ => (rest, port),
        };
        let host = host.trim_matches(['[', ']']);
        if host.is_empty() || host.contains(['/', '@', ' ']) { Err(bad()) } else { Ok((transport, host, port)) }
    }

    /// Checks the address without asking anybody; returns host and port.
    ///
    /// # Errors
    /// When it is none.
    pub fn address(&self) -> Result<String, SyslogError> {
        self.target().map(|(_, host, port)| format!("{host}:{port}"))
    }

    /// Sends a notification; returns what is known of its fate, which is little: syslog has no answers.
    ///
    /// # Errors
    /// [`SyslogError`] names the server.
    pub async fn send(&self, notice: &Notice) -> Result<String, SyslogError> {
        let (transport, host, port) = self.target()?;
        let address = format!("{host}:{port}");
        let failed = |source| SyslogError::Send { address: address.clone(), source };
        let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
        let work = async {
            let first = tokio::net::lookup_host((host, port)).await?.next();
            let to: SocketAddr = first.ok_or_else(|| std::io::Error::other("the name has no address"))?;
            match transport {
                Transport::Udp => {
                    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
                    let socket = UdpSocket::bind(any).await?;
                    socket.send_to(self.message(notice, DATAGRAM_BYTES_MAX).as_bytes(), to).await?;
                    Ok(None)
                }
                Transport::Tcp => write(TcpStream::connect(to).await?, &self.message(notice, MESSAGE_BYTES_MAX)).await,
                Transport::Tls => {
                    let Some(connector) = self.connector() else { return Ok(Some(())) };
                    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
                    let stream = connector.connect(name, TcpStream::connect(to).await?).await?;
                    write(stream, &self.message(notice, MESSAGE_BYTES_MAX)).await
                }
            }
        };
        let done = tokio::time::timeout(TIMEOUT, work).await.map_err(|_| failed(late()))?.map_err(failed)?;
        if done.is_some() {
            return Err(SyslogError::Authorities(address));
        }
        Ok(match transport {
            Transport::Udp => format!("sent to {address}; UDP has no answer"),
            Transport::Tcp | Transport::Tls => format!("written to {address}"),
        })
    }

    fn connector(&self) -> Option<TlsConnector> {
        let mut roots = RootCertStore::empty();
        for certificate in rustls_pemfile::certs(&mut &self.authorities[..]).flatten() {
            // one that cannot be used leaves the others
            let _ = roots.add(certificate);
        }
        if roots.is_empty() {
            return None;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Some(TlsConnector::from(Arc::new(config)))
    }

    /// The message of RFC 5424, at most `max` bytes.
    fn message(&self, notice: &Notice, max: usize) -> String {
        let severity = match notice.severity {
            Some(Severity::High) => 2,
            Some(Severity::Medium) => 4,
            Some(Severity::Low) => 5,
            Some(Severity::Informational) | None => 6,
        };
        let host: String = self.host.chars().filter(char::is_ascii_graphic).take(255).collect();
        let host = if host.is_empty() { "-" } else { &host };
        let body = match self.form {
            SyslogForm::Cef => cef(notice),
            SyslogForm::Json => {
                let rows = notice
                    .rows
                    .iter()
                    .map(|(label, text)| serde_json::json!({"label": label, "value": cut(text, VALUE_CHARS_MAX)}));
                data(notice, rows.collect()).to_string()
            }
        };
        // a byte order mark says that UTF-8 follows (RFC 5424, 6.4)
        let head = format!("<{}>1 {} {host} hinomi - {} - \u{feff}", FACILITY * 8 + severity, notice.at, notice.kind);
        let mut message = head + &body;
        while message.len() > max {
            message.pop();
        }
        message
    }
}

/// Octet counting of RFC 6587 and RFC 5425.
async fn write(mut to: impl AsyncWrite + Unpin, message: &str) -> std::io::Result<Option<()>> {
    to.write_all(format!("{} {message}", message.len()).as_bytes()).await?;
    to.flush().await?;
    to.shutdown().await?;
    Ok(None)
}

fn cef(notice: &Notice) -> String {
    let head = |text: &str| escaped(text, &['\\', '|']);
    let severity = match notice.severity {
        Some(Severity::High) => 9,
        Some(Severity::Medium) => 6,
        Some(Severity::Low) => 3,
        Some(Severity::Informational) | None => 1,
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "CEF:0|Hinomi|Hinomi|{version}|{}|{}|{severity}|",
        head(&notice.class),
        head(&cut(&notice.title, VALUE_CHARS_MAX))
    );
    let incident = notice.incident.map(|number| format!("INC-{number}"));
    let more: String =
        notice.rows.iter().map(|(label, value)| format!("{label}: {value}")).collect::<Vec<_>>().join("; ");
    let fields = [
        ("externalId", incident.as_deref().unwrap_or_default()),
        ("cat", notice.kind),
        ("dvchost", &notice.place),
        ("request", &notice.link),
        ("cs1Label", if more.is_empty() { "" } else { "facts" }),
        ("cs1", &more),
        ("msg", &notice.story),
    ];
    let fields = fields.iter().filter(|(_, value)| !value.is_empty());
    let fields: Vec<String> =
        fields.map(|(name, value)| format!("{name}={}", escaped(&cut(value, VALUE_CHARS_MAX), &['\\', '=']))).collect();
    text.push_str(&fields.join(" "));
    text
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => escaped.push(' '),
            c if c.is_control() => {}
            c => {
                if special.contains(&c) {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_escapes() {
        let of = |url: &str| {
            Syslog { url: url.to_owned(), form: SyslogForm::Cef, authorities: Vec::new(), host: String::new() }
                .address()
        };
        assert_eq!(of("tls://siem.example.jp").expect("address"), "siem.example.jp:6514");
        assert_eq!(of("udp://[::1]:5140").expect("address"), "::1:5140");
        for bad in ["siem", "http://x", "tcp://:1", "tcp://x:port", "tcp://a b"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert_eq!(escaped("a|b\\c\nd\u{7}", &['\\', '|']), "a\\|b\\\\c d");
    }
}
