//! One connection.

use super::command::{Command, parse};
use super::{Counters, Envelope, Limits, Receiver};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Duration, timeout};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

struct Session<S> {
    stream: S,
    buffer: BytesMut,
    envelope: Option<Envelope>,
    greeted: bool,
}

/// What came of reading a mail.
enum Body {
    Whole(Bytes),
    TooBig,
}

/// Serves one connection to its end.
///
/// # Errors
/// Why it was closed before the client said goodbye.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    receiver: &dyn Receiver,
    limits: &Limits,
    counters: &Counters,
) -> Result<(), String> {
    let mut session = Session { stream, buffer: BytesMut::new(), envelope: None, greeted: false };
    session.say("220 Hinomi journal LMTP\r\n", limits).await?;
    let mut mistakes = 0;
    loop {
        let Some(line) = session.line(limits).await? else { return Ok(()) };
        let answer = match parse(&line) {
            Some(Command::Quit) => {
                session.say("221 2.0.0 goodbye\r\n", limits).await?;
                return Ok(());
            }
            Some(Command::Data) => match session.data(receiver, limits, counters).await? {
                Some(answer) => answer,
                None => {
                    mistakes += 1;
                    "503 5.5.1 first MAIL and RCPT\r\n".to_owned()
                }
            },
            Some(command) => session.answer(command, limits),
            None => {
                mistakes += 1;
                "500 5.5.2 not understood\r\n".to_owned()
            }
        };
        session.say(&answer, limits).await?;
        if mistakes > limits.mistakes_max {
            session.say("421 4.7.0 too many mistakes\r\n", limits).await?;
            return Err("too many mistakes".to_owned());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    fn answer(&mut self, command: Command, limits: &Limits) -> String {
        match command {
            Command::Hello => {
                self.greeted = true;
                self.envelope = None;
                format!(
                    "250-hinomi\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                     250 SIZE {}\r\n",
                    limits.message_bytes_max
                )
            }
            Command::Mail { .. } if !self.greeted => "503 5.5.1 first LHLO\r\n".to_owned(),
            Command::Mail { size: Some(size), .. } if size > limits.message_bytes_max as u64 => {
                "552 5.3.4 too big\r\n".to_owned()
            }
            Command::Mail { .. } if self.envelope.is_some() => "503 5.5.1 one mail at a time\r\n".to_owned(),
            Command::Mail { from, .. } => {
                self.envelope = Some(Envelope { mail_from: from, recipients: Vec::new() });
                "250 2.1.0 ok\r\n".to_owned()
            }
            Command::Recipient(to) => match &mut self.envelope {
                None => "503 5.5.1 first MAIL\r\n".to_owned(),
                Some(envelope) if envelope.recipients.len() >= limits.recipients_max => {
                    "452 4.5.3 too many recipients\r\n".to_owned()
                }
                Some(envelope) => {
                    envelope.recipients.push(to);
                    "250 2.1.5 ok\r\n".to_owned()
                }
            },
            Command::Reset => {
                self.envelope = None;
                "250 2.0.0 ok\r\n".to_owned()
            }
            Command::Nothing => "252 2.0.0 ok\r\n".to_owned(),
            Command::Data | Command::Quit => String::new(),
        }
    }

    /// Reads a mail and hands it on; one answer per recipient (RFC 2033 4.2). `None` when there is no
    /// envelope.
    async fn data(
        &mut self,
        receiver: &dyn Receiver,
        limits: &Limits,
        counters: &Counters,
    ) -> Result<Option<String>, String> {
        let Some(envelope) = self.envelope.take().filter(|envelope| !envelope.recipients.is_empty()) else {
            return Ok(None);
        };
        let recipients = envelope.recipients.len();
        self.say("354 end with <CRLF>.<CRLF>\r\n", limits).await?;
        let body = within(limits.data_timeout, "the mail", self.body(limits)).await?;
        let answer = match body {
            Body::TooBig => {
                Counters::add(&counters.too_big);
                "552 5.3.4 too big\r\n"
            }
            Body::Whole(raw) => match timeout(limits.take_timeout, receiver.take(envelope, raw)).await {
                Ok(Ok(())) => {
                    Counters::add(&counters.taken);
                    "250 2.0.0 taken\r\n"
                }
                taken => {
                    let why =
                        taken.map_or_else(|_| "took too long".to_owned(), |taken| taken.err().unwrap_or_default());
                    tracing::error!("a journalled mail could not be stored, the mail server keeps it: {why}");
                    Counters::add(&counters.put_off);
                    "451 4.3.0 try again later\r\n"
                }
            },
        };
        Ok(Some(answer.repeat(recipients)))
    }

    /// Reads up to the line with a single dot. Lines end with CRLF only: a bare line feed is data.
    async fn body(&mut self, limits: &Limits) -> Result<Body, String> {
        let mut raw: Vec<u8> = Vec::new();
        let mut too_big = false;
        // bytes before this are known to hold no line end
        let mut scanned = 0;
        loop {
            let Some(end) = find_line_end(&self.buffer[scanned..]).map(|end| scanned + end) else {
                scanned = self.buffer.len().saturating_sub(1);
                if self.buffer.len() > limits.message_bytes_max {
                    // one endless line: dropped but for its last byte, which may begin a line end
                    too_big = true;
                    let _ = self.buffer.split_to(scanned);
                    scanned = 0;
                }
                self.more().await?;
                continue;
            };
            scanned = 0;
            let line = self.buffer.split_to(end + 2);
            if &line[..] == b".\r\n" {
                return Ok(if too_big { Body::TooBig } else { Body::Whole(raw.into()) });
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            too_big |= raw.len() + line.len() > limits.message_bytes_max;
            if too_big {
                raw = Vec::new();
            } else {
                raw.extend_from_slice(line);
            }
        }
    }

    /// Reads a command line; `None` when the client has gone.
    async fn line(&mut self, limits: &Limits) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1).freeze();
                if line.len() > limits.line_bytes_max {
                    return Err("command too long".to_owned());
                }
                return Ok(Some(line));
            }
            if self.buffer.len() > limits.line_bytes_max {
                return Err("command too long".to_owned());
            }
            let idle = self.buffer.is_empty();
            match within(limits.command_timeout, "a command", self.more()).await {
                Err(_) if idle => return Ok(None),
                other => other?,
            }
        }
    }

    async fn more(&mut self) -> Result<(), String> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err("the client has gone".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn say(&mut self, text: &str, limits: &Limits) -> Result<(), String> {
        within(limits.command_timeout, "the client to read", async {
            self.stream.write_all(text.as_bytes()).await.map_err(|error| error.to_string())?;
            self.stream.flush().await.map_err(|error| error.to_string())
        })
        .await
    }
}

async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(limit, work).await.map_err(|_| format!("waited too long for {what}"))?
}

fn find_line_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(2).position(|pair| pair == b"\r\n")
}
