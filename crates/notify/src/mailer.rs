//! SMTP: one mail, its answer.

use crate::render::Rendered;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::time::Duration;

/// A mail server that does not answer costs at most this; the job is tried again.
const TIMEOUT: Duration = Duration::from_secs(20);

/// TLS towards the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// None: loopback or a trusted network.
    None,
    /// From the first byte.
    Tls,
    /// STARTTLS, required.
    StartTls,
}

/// How to reach the mail server.
#[derive(Clone)]
pub struct SmtpSettings {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS.
    pub tls: SmtpTls,
    /// Login and password.
    pub login: Option<(String, String)>,
    /// Sender address.
    pub from: String,
}

impl SmtpSettings {
    /// Reads `smtp://host:port`, `smtps://…` or `starttls://…`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(url: &str, from: &str, login: Option<(String, String)>) -> Result<Self, MailerError> {
        let bad = || MailerError::Url(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let (tls, port) = match scheme {
            "smtp" => (SmtpTls::None, 25),
            "smtps" => (SmtpTls::Tls, 465),
            "starttls" => (SmtpTls::StartTls, 587),
            _ => return Err(bad()),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, text)) => (host, text.parse().map_err(|_| bad())?),
            None => (rest, port),
        };
        if host.is_empty() {
            return Err(bad());
        }
        Ok(SmtpSettings { host: host.to_owned(), port, tls, login, from: from.to_owned() })
    }
}

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The address of the mail server is not one.
    #[error("not a mail server address: {0:?} (smtp://, smtps:// or starttls://host:port)")]
    Url(String),
    /// A mail address is not one.
    #[error("not a mail address: {0:?}")]
    Address(String),
    /// The mail cannot be built.
    #[error("build alert mail")]
    Build(#[from] lettre::error::Error),
    /// A template failed.
    #[error("render alert mail")]
    Render(#[from] minijinja::Error),
    /// The mail server refused it or did not answer.
    #[error("send mail through {host}")]
    Smtp {
        /// The server.
        host: String,
        /// Why.
        #[source]
        source: lettre::transport::smtp::Error,
    },
}

impl MailerError {
    /// True when trying again can help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, MailerError::Smtp { source, .. } if !source.is_permanent())
    }
}

/// The mail server took the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Message-ID of the mail.
    pub message_id: String,
    /// Its answer.
    pub answer: String,
}

/// Sends mails through one server.
pub struct Mailer {
    settings: SmtpSettings,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Mailer {
    /// Builds a mailer; connects only when a mail is sent.
    ///
    /// # Errors
    /// When TLS cannot be set up for the host.
    pub fn new(settings: SmtpSettings) -> Result<Mailer, MailerError> {
        let failed = |source| MailerError::Smtp { host: settings.host.clone(), source };
        let builder = match settings.tls {
            SmtpTls::None => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host),
            SmtpTls::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(&settings.host).map_err(failed)?,
            SmtpTls::StartTls => {
                AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&settings.host).map_err(failed)?
            }
        };
        let mut builder = builder.port(settings.port).timeout(Some(TIMEOUT));
        if let Some((user, password)) = &settings.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
        }
        Ok(Mailer { transport: builder.build(), settings })
    }

    /// Sends one mail. `message_id` is the same for every try, so that a doubled mail is seen as one;
    /// `thread` is the Message-ID all mails of an incident refer to.
    ///
    /// # Errors
    /// [`MailerError`] names the server and its answer.
    pub async fn send(&self, to: &str, mail: &Rendered, message_id: &str, thread: &str) -> Result<Sent, MailerError> {
        let address = |text: &str| text.parse::<Mailbox>().map_err(|_| MailerError::Address(text.to_owned()));
        let mut message = Message::builder()
            .from(address(&self.settings.from)?)
            .to(address(to)?)
            .subject(&mail.subject)
            .message_id(Some(message_id.to_owned()))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))?;
        let headers = message.headers_mut();
        if thread != message_id {
            headers.set(lettre::message::header::References::from(thread.to_owned()));
        }
        // RFC 3834: answers by machines are unwanted
        headers.insert_raw(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
        let answer = self
            .transport
            .send(message)
            .await
            .map_err(|source| MailerError::Smtp { host: self.settings.host.clone(), source })?;
        let answer = format!("{} {}", answer.code(), answer.message().collect::<Vec<_>>().join(" "));
        Ok(Sent { message_id: message_id.to_owned(), answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_mail_servers() {
        let settings = SmtpSettings::parse("starttls://mail.example.jp", "hinomi@example.jp", None).expect("parses");
        assert_eq!((settings.host.as_str(), settings.port, settings.tls), ("mail.example.jp", 587, SmtpTls::StartTls));
        for bad in ["mail.example.jp", "http://x", "smtp://:25", "smtp://x:port"] {
            assert!(SmtpSettings::parse(bad, "a@b", None).is_err(), "{bad}");
        }
    }
}
