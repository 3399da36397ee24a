//! One connection: collects a message, asks the judge, answers.

use super::server::Counters;
use super::wire::{self, Options, Packet, WireError};
use super::{Decision, Envelope, Judge, Limits, OnFailure};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("connection failed")]
    Io(#[from] std::io::Error),
    #[error("malformed packet")]
    Wire(#[from] WireError),
    #[error("packet {0:?} out of order")]
    Order(char),
    #[error("too many {0}")]
    TooMany(&'static str),
    #[error("silent for too long")]
    Idle,
}

pub(super) struct Session<S, J> {
    stream: S,
    buffer: BytesMut,
    judge: Arc<J>,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
    options: Options,
    client: Client,
    message: Message,
}

/// What is known about the client; stays over several messages.
#[derive(Default)]
struct Client {
    name: String,
    ip: Option<std::net::IpAddr>,
    helo: String,
}

/// The message being collected.
#[derive(Default)]
struct Message {
    mail_from: Option<String>,
    recipients: Vec<String>,
    queue_id: String,
    raw: BytesMut,
    header_names: Vec<String>,
    in_body: bool,
    truncated: bool,
    deadline: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, J: Judge> Session<S, J> {
    pub(super) fn new(stream: S, judge: Arc<J>, limits: Arc<Limits>, counters: Arc<Counters>) -> Self {
        let options = Options { version: 0, actions: 0, steps: 0 };
        Session {
            stream,
            buffer: BytesMut::with_capacity(16 << 10),
            judge,
            limits,
            counters,
            options,
            client: Client::default(),
            message: Message::default(),
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) -> Result<(), SessionError> {
        let Some(Packet::Options(offered)) = self.next(self.limits.negotiation_timeout).await? else {
            return Err(SessionError::Order('O'));
        };
        self.options = Options::choose(offered)?;
        self.stream.write_all(&wire::options(self.options)).await?;
        while let Some(packet) = self.next(self.limits.idle_timeout).await? {
            match packet {
                Packet::Quit => return Ok(()),
                Packet::QuitNewClient => {
                    self.client = Client::default();
                    self.message = Message::default();
                }
                Packet::Abort => self.message = Message::default(),
                Packet::Macros(_, macros) => self.macros(&macros),
                Packet::End(last) => {
                    self.body(&last);
                    self.end().await?;
                }
                Packet::Options(_) => return Err(SessionError::Order('O')),
                other => self.collect(other).await?,
            }
        }
        Ok(())
    }

    /// Reads the next packet; `None` when the other side closed between packets.
    async fn next(&mut self, silence: Duration) -> Result<Option<Packet>, SessionError> {
        let idle = Instant::now() + silence;
        let end = self.message.deadline.map_or(idle, |deadline| deadline.min(idle));
        loop {
            if let Some(packet) = wire::take(&mut self.buffer)? {
                return Ok(Some(packet));
            }
            let read = timeout_at(end, self.stream.read_buf(&mut self.buffer)).await;
            let closed = read.map_err(|_| SessionError::Idle)?? == 0;
            if closed && self.buffer.is_empty() {
                return Ok(None);
            }
            if closed {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Takes one step of a message and answers it when an answer is due.
    async fn collect(&mut self, packet: Packet) -> Result<(), SessionError> {
        let command = match packet {
            Packet::Connect { name, address } => {
                let address = lossy(&address);
                // Sendmail and Postfix write "IPv6:" before such addresses
                self.client.ip = address.trim_start_matches("IPv6:").parse().ok();
                self.client.name = lossy(&name);
                b'C'
            }
            Packet::Helo(name) => {
                self.client.helo = lossy(&name);
                b'H'
            }
            Packet::Mail(address) => {
                self.message = Message {
                    mail_from: Some(address_text(&address)),
                    queue_id: std::mem::take(&mut self.message.queue_id),
                    deadline: Some(Instant::now() + self.limits.message_timeout),
                    ..Message::default()
                };
                b'M'
            }
            Packet::Recipient(address) => {
                if self.message.recipients.len() >= self.limits.recipients_max {
                    return Err(SessionError::TooMany("recipients"));
                }
                self.message.recipients.push(address_text(&address));
                b'R'
            }
            Packet::Header(name, value) => {
                self.header(&name, &value)?;
                b'L'
            }
            Packet::Body(piece) => {
                self.body(&piece);
                if self.message.truncated && self.options.may_skip_body() && !self.options.is_silent(b'B') {
                    self.stream.write_all(&wire::packet(b's', &[])).await?;
                    return Ok(());
                }
                b'B'
            }
            Packet::Step(command) => command,
            Packet::Options(_)
            | Packet::End(_)
            | Packet::Macros(..)
            | Packet::Abort
            | Packet::Quit
            | Packet::QuitNewClient => return Err(SessionError::Order('?')),
        };
        if !self.options.is_silent(command) {
            self.stream.write_all(&wire::packet(b'c', &[])).await?;
        }
        Ok(())
    }

    fn macros(&mut self, macros: &[(Vec<u8>, Vec<u8>)]) {
        if let Some((_, id)) = macros.iter().find(|(name, _)| name == b"i" || name == b"{i}") {
            self.message.queue_id = lossy(id);
        }
    }

    /// Puts a header field together as it was: the mail server hands over name and value apart and
    /// folded lines with a bare newline.
    fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), SessionError> {
        if self.message.header_names.len() >= self.limits.headers_max {
            return Err(SessionError::TooMany("headers"));
        }
        self.message.header_names.push(lossy(name));
        if !self.has_room(name.len() + value.len() + 4) {
            return Ok(());
        }
        let raw = &mut self.message.raw;
        raw.extend_from_slice(name);
        raw.extend_from_slice(b":");
        if !self.options.leading_space() {
            raw.extend_from_slice(b" ");
        }
        for (index, line) in value.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                raw.extend_from_slice(b"\r\n");
            }
            raw.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        }
        raw.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn body(&mut self, piece: &[u8]) {
        if !self.message.in_body {
            self.message.in_body = true;
            self.message.raw.extend_from_slice(b"\r\n");
        }
        if self.has_room(piece.len()) {
            self.message.raw.extend_from_slice(piece);
        }
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        if self.message.raw.len() + bytes > self.limits.message_bytes_max {
            self.message.truncated = true;
        }
        !self.message.truncated
    }

    /// Asks the judge and answers.
    async fn end(&mut self) -> Result<(), SessionError> {
        let message = std::mem::take(&mut self.message);
        let Some(mail_from) = message.mail_from else { return Err(SessionError::Order('E')) };
        self.counters.messages.fetch_add(1, Relaxed);
        if message.truncated {
            self.counters.truncated.fetch_add(1, Relaxed);
        }
        let envelope = Envelope {
            mail_from,
            recipients: message.recipients,
            client_ip: self.client.ip,
            client_name: self.client.name.clone(),
            helo: self.client.helo.clone(),
            queue_id: message.queue_id,
            truncated: message.truncated,
        };
        let decision = self.decide(envelope, message.raw.freeze()).await;
        self.answer(decision, &message.header_names).await
    }

    async fn decide(&self, envelope: Envelope, raw: Bytes) -> Decision {
        let queue_id = envelope.queue_id.clone();
        let end = Instant::now() + self.limits.judge_deadline;
        let failed = match timeout_at(end, self.judge.judge(envelope, raw)).await {
            Ok(Ok(decision)) => return decision,
            Ok(Err(reason)) => {
                self.counters.judge_failed.fetch_add(1, Relaxed);
                reason
            }
            Err(_) => {
                self.counters.judge_late.fetch_add(1, Relaxed);
                format!("no verdict within {} ms", self.limits.judge_deadline.as_millis())
            }
        };
        tracing::warn!(queue_id, reason = failed, "message {queue_id} could not be judged");
        match self.limits.on_failure {
            OnFailure::Deliver => Decision::Deliver { add_headers: Vec::new(), remove_headers: Vec::new() },
            OnFailure::TempFail => Decision::TempFail { text: "message cannot be inspected now".to_owned() },
        }
    }

    async fn answer(&mut self, decision: Decision, header_names: &[String]) -> Result<(), SessionError> {
        let mut out = BytesMut::new();
        match decision {
            Decision::Deliver { add_headers, remove_headers } => {
                if self.options.actions & wire::ACTION_CHANGE_HEADERS != 0 {
                    for name in &remove_headers {
                        remove_all(&mut out, name, header_names);
                    }
                }
                if self.options.actions & wire::ACTION_ADD_HEADERS != 0 {
                    for (name, value) in &add_headers {
                        out.extend_from_slice(&add(name, value, self.options.leading_space()));
                    }
                }
                out.extend_from_slice(&wire::packet(b'c', &[]));
            }
            Decision::Quarantine { reason } => {
                tracing::debug!(reason, "message taken into quarantine");
                out.extend_from_slice(&wire::packet(b'd', &[]));
            }
            Decision::Reject { text } => out.extend_from_slice(&reply("550 5.7.1", &text)),
            Decision::TempFail { text } => out.extend_from_slice(&reply("451 4.7.1", &text)),
        }
        self.stream.write_all(&out).await?;
        Ok(())
    }
}

/// Takes out every occurrence of a header, the last first: taking one out moves those behind it.
fn remove_all(out: &mut BytesMut, name: &str, header_names: &[String]) {
    let count = header_names.iter().filter(|known| known.eq_ignore_ascii_case(name)).count() as u32;
    for index in (1..=count).rev() {
        out.extend_from_slice(&wire::packet(b'm', &[&index.to_be_bytes(), name.as_bytes(), b"\0", b"\0"]));
    }
}

fn add(name: &str, value: &str, leading_space: bool) -> Bytes {
    let space = if leading_space { " " } else { "" };
    let value = format!("{space}{}", one_line(value));
    wire::packet(b'h', &[one_line(name).as_bytes(), b"\0", value.as_bytes(), b"\0"])
}

/// `%` starts a format in the mail server's reply, so it must not come through.
fn reply(code: &str, text: &str) -> Bytes {
    let text = format!("{code} {}", one_line(text).replace('%', "pct"));
    wire::packet(b'y', &[text.as_bytes(), b"\0"])
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(900).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn address_text(bytes: &[u8]) -> String {
    let text = lossy(bytes);
    text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(&text).to_owned()
}
