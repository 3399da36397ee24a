//! The wire: connecting, logging in, sending commands together and reading their answers in order.

use super::answer::{capability_name, done, parse, tagged};
use super::command::{quote, sasl_plain, sasl_xoauth2};
use super::frame::Framer;
use super::model::{Login, Secret, Selected};
use super::root::Root;
use super::tls::{Security, Stream, protect};
use super::{ImapError, Server};
use bytes::{Bytes, BytesMut};
use imap_proto::{Capability, Response, ResponseCode, Status};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// What a server can do after the login, upper case.
pub type Capabilities = Arc<HashSet<String>>;

/// An IMAP connection. A login may still be on its way: the first command that is waited for
/// settles it.
pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    framer: Framer,
    pub(super) server: Arc<Server>,
    capabilities: Capabilities,
    tag: u32,
    /// Commands not yet sent: they go out together when an answer is wanted.
    outgoing: Vec<u8>,
    login: Option<PendingLogin>,
    /// What the login sent: it is taken out of whatever the server says in an error.
    secrets: Vec<String>,
    pub(super) selected: Option<Opened>,
    /// What stands before the names of the mailbox worked on; none = the login's own.
    pub(super) root: Option<Root>,
    entered: u32,
}

struct PendingLogin {
    tag: Tag,
    user: String,
    /// The capabilities after it are known already.
    known: bool,
}

/// The folder that is open.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub folder: String,
    pub read_only: bool,
    pub state: Selected,
}

/// A command whose answer is awaited.
#[derive(Debug)]
pub(super) struct Tag {
    name: &'static str,
    text: String,
}

/// The end of a command.
pub(super) struct Done {
    pub code: Option<ResponseCode<'static>>,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// When the server cannot be reached, protection fails or the login is refused.
    pub async fn open(server: &Arc<Server>, login: &Login) -> Result<Connection, ImapError> {
        let mut connection = Connection::begin(server, login, None).await?;
        connection.settle_login().await?;
        Ok(connection)
    }

    /// Connects and prepares the login. `known` are the capabilities this server showed after an
    /// earlier login: with them the login is sent together with the first commands.
    ///
    /// # Errors
    /// When the server cannot be reached, protection fails or, without `known`, the login is refused.
    pub async fn begin(
        server: &Arc<Server>,
        login: &Login,
        known: Option<Capabilities>,
    ) -> Result<Connection, ImapError> {
        let end = Instant::now() + server.limits.connect_timeout;
        let connecting = timeout_at(end, Connection::connect(server)).await;
        let mut connection = connecting.map_err(|_| ImapError::Timeout("connect"))??;
        connection.log_in(login, known).await?;
        Ok(connection)
    }

    async fn log_in(&mut self, login: &Login, known: Option<Capabilities>) -> Result<(), ImapError> {
        if self.capabilities.is_empty() {
            self.ask_capabilities().await?;
        }
        let command = self.login_command(login)?;
        let (Secret::Password(secret) | Secret::Token(secret)) = &login.secret;
        let sent = command.split(' ').next_back().unwrap_or_default();
        self.secrets =
            [secret.as_str(), sent].into_iter().filter(|secret| secret.len() >= 4).map(str::to_owned).collect();
        let tag = self.queue("LOGIN", &command);
        self.login = Some(PendingLogin { tag, user: login.user.clone(), known: known.is_some() });
        match known {
            Some(known) => self.capabilities = known,
            None => self.settle_login().await?,
        }
        Ok(())
    }

    async fn connect(server: &Arc<Server>) -> Result<Connection, ImapError> {
        let name = || format!("{}:{}", server.host, server.port);
        let stream = TcpStream::connect((server.host.as_str(), server.port))
            .await
            .map_err(|source| ImapError::Connect { server: name(), source })?;
        // commands are small and each is waited for
        let _ = stream.set_nodelay(true);
        let mut stream: Box<dyn Stream> = Box::new(stream);
        if server.security == Security::Tls {
            stream = protect(server, stream).await?;
        }
        let mut connection = Connection::over(stream, server).await?;
        if server.security == Security::StartTls {
            connection.start_tls().await?;
        }
        Ok(connection)
    }

    /// Speaks over a stream and waits for the greeting.
    async fn over(stream: Box<dyn Stream>, server: &Arc<Server>) -> Result<Connection, ImapError> {
        let mut connection = Connection {
            stream,
            buffer: BytesMut::with_capacity(16 << 10),
            framer: Framer::default(),
            server: Arc::clone(server),
            capabilities: Capabilities::default(),
            tag: 0,
            outgoing: Vec::new(),
            login: None,
            secrets: Vec::new(),
            selected: None,
            root: None,
            entered: 0,
        };
        connection.greeting().await?;
        Ok(connection)
    }

    /// Logs in over a stream that is there already, as it is: for tunnels and for tests that play
    /// the server.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn open_over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        server: &Arc<Server>,
        login: &Login,
    ) -> Result<Connection, ImapError> {
        let end = Instant::now() + server.limits.connect_timeout;
        let greeted = timeout_at(end, Connection::over(Box::new(stream), server)).await;
        let mut connection = greeted.map_err(|_| ImapError::Timeout("connect"))??;
        connection.log_in(login, None).await?;
        Ok(connection)
    }

    async fn greeting(&mut self) -> Result<(), ImapError> {
        let answer = self.answer().await?;
        match parse(&answer) {
            Some(Response::Data { status: Status::Ok | Status::PreAuth, outcome }) => {
                if let Some(ResponseCode::Capabilities(list)) = &outcome.code {
                    self.capabilities = names(list);
                }
                Ok(())
            }
            _ => Err(ImapError::Malformed("no greeting".to_owned())),
        }
    }

    async fn start_tls(&mut self) -> Result<(), ImapError> {
        self.run("STARTTLS", "STARTTLS", |_| {}).await?;
        // whatever came behind the answer was not protected and must not be believed (CVE-2011-0411)
        if !self.buffer.is_empty() {
            return Err(ImapError::Tls(self.server.host.clone(), "data before the handshake".to_owned()));
        }
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = protect(&self.server, plain).await?;
        self.capabilities = Capabilities::default();
        Ok(())
    }

    fn login_command(&self, login: &Login) -> Result<String, ImapError> {
        let initial_response = self.has("SASL-IR");
        match &login.secret {
            Secret::Token(token) if self.has("AUTH=XOAUTH2") && initial_response => {
                Ok(format!("AUTHENTICATE XOAUTH2 {}", sasl_xoauth2(&login.user, token)))
            }
            Secret::Token(_) => Err(ImapError::Unsupported("AUTH=XOAUTH2 with SASL-IR: logging in with a token")),
            Secret::Password(password) if self.has("AUTH=PLAIN") && initial_response => {
                let act_for = login.act_for.as_deref().unwrap_or_default();
                Ok(format!("AUTHENTICATE PLAIN {}", sasl_plain(act_for, &login.user, password)))
            }
            Secret::Password(_) if login.act_for.is_some() => {
                Err(ImapError::Unsupported("AUTH=PLAIN with SASL-IR: logging in for somebody else"))
            }
            Secret::Password(_) if self.has("LOGINDISABLED") => {
                Err(ImapError::Unsupported("LOGIN (LOGINDISABLED): logging in with a password"))
            }
            Secret::Password(password) => {
                let password = quote(password).map_err(|_| ImapError::BadText("password".to_owned()))?;
                Ok(format!("LOGIN {} {password}", quote(&login.user)?))
            }
        }
    }

    /// Waits for the end of a login that is on its way.
    pub(super) async fn settle_login(&mut self) -> Result<(), ImapError> {
        let Some(PendingLogin { tag, user, known }) = self.login.take() else { return Ok(()) };
        let mut learned = Capabilities::default();
        let done = self.read_until(&tag, self.server.limits.command_timeout, |answer| {
            if let Response::Capabilities(list) = answer {
                learned = names(list);
            }
        });
        let done = match done.await {
            Ok(done) => done,
            Err(ImapError::Refused { text, .. }) => return Err(ImapError::Login { user, text }),
            Err(error) => return Err(error),
        };
        if let Some(ResponseCode::Capabilities(list)) = &done.code {
            learned = names(list);
        }
        // commands that are already on their way rest on what was known before
        match learned.is_empty() {
            false => self.capabilities = learned,
            true if known => {}
            true => self.ask_capabilities().await?,
        }
        Ok(())
    }

    async fn ask_capabilities(&mut self) -> Result<(), ImapError> {
        let mut learned = Capabilities::default();
        self.run("CAPABILITY", "CAPABILITY", |answer| {
            if let Response::Capabilities(list) = answer {
                learned = names(list);
            }
        })
        .await?;
        self.capabilities = learned;
        Ok(())
    }

    /// True when the server announced a capability (upper case).
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    /// What the server announced.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// True when the login is over.
    pub fn is_logged_in(&self) -> bool {
        self.login.is_none()
    }

    /// Turns to another mailbox that this login reaches as well: its folders get this root, and are named
    /// without it from now on.
    pub fn enter(&mut self, root: Root) {
        self.selected = None;
        self.root = Some(root);
        self.entered += 1;
    }

    /// True when the mailbox worked on is not the login's own.
    pub fn is_of_another(&self) -> bool {
        self.root.is_some()
    }

    /// Mailboxes turned to so far.
    pub fn entered(&self) -> u32 {
        self.entered
    }

    /// Says goodbye without waiting for the answer.
    pub async fn logout(mut self) {
        self.queue("LOGOUT", "LOGOUT");
        let _ = self.flush().await;
    }

    fn next_tag(&mut self) -> String {
        self.tag += 1;
        format!("h{}", self.tag)
    }

    /// Puts a command among those that are sent next.
    pub(super) fn queue(&mut self, name: &'static str, command: &str) -> Tag {
        let text = self.next_tag();
        self.outgoing.extend_from_slice(text.as_bytes());
        self.outgoing.push(b' ');
        self.outgoing.extend_from_slice(command.as_bytes());
        self.outgoing.extend_from_slice(b"\r\n");
        Tag { name, text }
    }

    /// Puts bytes among those that are sent next: the literal of the command queued last.
    pub(super) fn queue_bytes(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
    }

    async fn flush(&mut self) -> Result<(), ImapError> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let end = Instant::now() + self.server.limits.transfer_timeout;
        let outgoing = std::mem::take(&mut self.outgoing);
        let written = timeout_at(end, async {
            self.stream.write_all(&outgoing).await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| ImapError::Timeout("a command"))?.map_err(ImapError::from)
    }

    /// Sends one command and reads its answers.
    pub(super) async fn run(
        &mut self,
        name: &'static str,
        command: &str,
        on: impl FnMut(&Response<'_>),
    ) -> Result<Done, ImapError> {
        let tag = self.queue(name, command);
        self.finish(&tag, on).await
    }

    /// Sends what is queued and reads answers up to the end of one command. Commands sent together
    /// must be finished in their order.
    pub(super) async fn finish(&mut self, tag: &Tag, on: impl FnMut(&Response<'_>)) -> Result<Done, ImapError> {
        self.finish_within(tag, self.server.limits.command_timeout, on).await
    }

    /// The same with another deadline.
    pub(super) async fn finish_within(
        &mut self,
        tag: &Tag,
        limit: Duration,
        on: impl FnMut(&Response<'_>),
    ) -> Result<Done, ImapError> {
        self.flush().await?;
        if self.login.is_some() {
            Box::pin(self.settle_login()).await?;
        }
        self.read_until(tag, limit, on).await
    }

    async fn read_until(
        &mut self,
        tag: &Tag,
        limit: Duration,
        mut on: impl FnMut(&Response<'_>),
    ) -> Result<Done, ImapError> {
        self.flush().await?;
        let end = Instant::now() + limit;
        for _ in 0..self.server.limits.answers_max {
            let answer = timeout_at(end, self.answer()).await.map_err(|_| ImapError::Timeout(tag.name))??;
            if let Some(rest) = tagged(&answer, &tag.text) {
                return done(tag.name, &answer, rest).map_err(|error| self.without_secrets(error));
            }
            if tag.name == "LOGIN" && answer.starts_with(b"+") {
                // XOAUTH2 tells an error this way and waits for an empty answer before its NO
                self.queue_bytes(b"\r\n");
                self.flush().await?;
                continue;
            }
            match parse(&answer) {
                Some(Response::Data { status: Status::Bye, .. }) => return Err(ImapError::Closed),
                Some(response) => on(&response),
                // extensions we did not ask for
                None => tracing::debug!(bytes = answer.len(), "an untagged IMAP answer was not understood"),
            }
        }
        Err(ImapError::Malformed(format!("too many answers to {}", tag.name)))
    }

    /// Sends what is queued and waits until the server asks for the literal of a command.
    pub(super) async fn wait_continue(&mut self, tag: &Tag) -> Result<(), ImapError> {
        self.flush().await?;
        if self.login.is_some() {
            self.settle_login().await?;
        }
        let end = Instant::now() + self.server.limits.command_timeout;
        for _ in 0..self.server.limits.answers_max {
            let answer = timeout_at(end, self.answer()).await.map_err(|_| ImapError::Timeout(tag.name))??;
            if answer.starts_with(b"+") {
                return Ok(());
            }
            if let Some(rest) = tagged(&answer, &tag.text) {
                done(tag.name, &answer, rest).map_err(|error| self.without_secrets(error))?;
                return Err(ImapError::Malformed(format!("{} ended before its data", tag.name)));
            }
        }
        Err(ImapError::Malformed(format!("too many answers to {}", tag.name)))
    }

    /// Some servers quote what they refuse, and a password must not come back that way.
    fn without_secrets(&self, error: ImapError) -> ImapError {
        let clean = |text: String| self.secrets.iter().fold(text, |text, secret| text.replace(secret.as_str(), "…"));
        match error {
            ImapError::Refused { command, text } => ImapError::Refused { command, text: clean(text) },
            ImapError::Malformed(text) => ImapError::Malformed(clean(text)),
            other => other,
        }
    }

    /// Reads one whole answer.
    async fn answer(&mut self) -> Result<Bytes, ImapError> {
        loop {
            if let Some(answer) = self.framer.take(&mut self.buffer, &self.server.limits)? {
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ImapError::Closed);
            }
        }
    }
}

fn names(list: &[Capability<'_>]) -> Capabilities {
    Arc::new(list.iter().map(capability_name).collect())
}
