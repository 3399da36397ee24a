//! A logged-in connection and its commands.

use super::command::{flag_list, is_quotable, quote, sasl_plain};
use super::frame::Framer;
use super::tls::{Security, Stream, protect};
use super::{ImapError, Server};
use bytes::{Bytes, BytesMut};
use imap_proto::rfc4315::UidSetMember;
use imap_proto::{AttributeValue, Capability, MailboxDatum, NameAttribute, Response, ResponseCode, Status};
use std::collections::HashSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// A folder of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Name as the server writes it (modified UTF-7).
    pub name: String,
    /// Special use (RFC 6154) such as `\Junk`, if it has one.
    pub special_use: Option<String>,
}

/// State of an opened folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// Validity of the UIDs; changes when the server renumbers.
    pub uid_validity: u32,
    /// Mails in it.
    pub exists: u32,
    /// UID the next mail will get at least; 0 when the server does not tell.
    pub uid_next: u32,
}

/// UIDs found in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// Name of the folder.
    pub folder: String,
    /// Validity of the UIDs.
    pub uid_validity: u32,
    /// Their UIDs, ascending.
    pub uids: Vec<u32>,
}

/// A mail as the server holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// UID.
    pub uid: u32,
    /// Flags without `\Recent`, sorted.
    pub flags: Vec<String>,
    /// INTERNALDATE as the server writes it.
    pub internal_date: String,
    /// The whole mail.
    pub raw: Bytes,
}

/// Proof of a move (RFC 4315): where the mail is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyUid {
    /// UID validity of the target folder.
    pub uid_validity: u32,
    /// UID it had.
    pub source_uid: u32,
    /// UID it has now.
    pub target_uid: u32,
}

/// An IMAP connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    framer: Framer,
    server: Server,
    capabilities: HashSet<String>,
    tag: u32,
}

/// The end of a command.
struct Done {
    code: Option<ResponseCode<'static>>,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// When the server cannot be reached, protection fails or the login is refused.
    pub async fn open(server: &Server, user: &str, password: &str) -> Result<Connection, ImapError> {
        let end = Instant::now() + server.limits.connect_timeout;
        let connecting = timeout_at(end, Connection::connect(server)).await;
        let mut connection = connecting.map_err(|_| ImapError::Timeout("connect"))??;
        connection.login(user, password).await?;
        Ok(connection)
    }

    async fn connect(server: &Server) -> Result<Connection, ImapError> {
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
        let mut connection = Connection {
            stream,
            buffer: BytesMut::with_capacity(16 << 10),
            framer: Framer::default(),
            server: server.clone(),
            capabilities: HashSet::new(),
            tag: 0,
        };
        connection.greeting().await?;
        if server.security == Security::StartTls {
            connection.start_tls().await?;
        }
        Ok(connection)
    }

    async fn greeting(&mut self) -> Result<(), ImapError> {
        let answer = self.answer().await?;
        match parse(&answer) {
            Some(Response::Data { status: Status::Ok | Status::PreAuth, outcome }) => {
                if let Some(ResponseCode::Capabilities(list)) = &outcome.code {
                    self.learn(list);
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
        self.capabilities.clear();
        Ok(())
    }

    async fn login(&mut self, user: &str, password: &str) -> Result<(), ImapError> {
        if self.capabilities.is_empty() {
            self.ask_capabilities().await?;
        }
        let before = std::mem::take(&mut self.capabilities);
        let command = if before.contains("AUTH=PLAIN") && before.contains("SASL-IR") {
            format!("AUTHENTICATE PLAIN {}", sasl_plain(user, password))
        } else {
            format!(
                "LOGIN {} {}",
                quote(user)?,
                quote(password).map_err(|_| ImapError::BadText("password".to_owned()))?
            )
        };
        let mut learned = HashSet::new();
        let done = self.run("LOGIN", &command, |answer| {
            if let Response::Capabilities(list) = answer {
                learned.extend(list.iter().map(capability_name));
            }
        });
        let done = match done.await {
            Ok(done) => done,
            Err(ImapError::Refused { text, .. }) => return Err(ImapError::Login { user: user.to_owned(), text }),
            Err(error) => return Err(error),
        };
        self.capabilities = learned;
        if let Some(ResponseCode::Capabilities(list)) = &done.code {
            self.learn(list);
        }
        if self.capabilities.is_empty() {
            self.ask_capabilities().await?;
        }
        Ok(())
    }

    async fn ask_capabilities(&mut self) -> Result<(), ImapError> {
        let mut learned = HashSet::new();
        self.run("CAPABILITY", "CAPABILITY", |answer| {
            if let Response::Capabilities(list) = answer {
                learned.extend(list.iter().map(capability_name));
            }
        })
        .await?;
        self.capabilities = learned;
        Ok(())
    }

    fn learn(&mut self, list: &[Capability<'_>]) {
        self.capabilities.extend(list.iter().map(capability_name));
    }

    /// True when the server announced a capability (upper case).
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    /// Lists the folders that can be opened.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn folders(&mut self) -> Result<Vec<Folder>, ImapError> {
        let mut folders = Vec::new();
        self.run("LIST", "LIST \"\" \"*\"", |answer| {
            let Response::MailboxData(MailboxDatum::List(item)) = answer else { return };
            if item.name_attributes.iter().any(|word| matches!(word, NameAttribute::NoSelect)) {
                return;
            }
            let special_use = item.name_attributes.iter().find_map(special_use);
            folders.push(Folder { name: item.name.to_string(), special_use });
        })
        .await?;
        Ok(folders)
    }

    /// Opens a folder, for changes unless `read_only`.
    ///
    /// # Errors
    /// When it does not exist or the server breaks off.
    pub async fn select(&mut self, folder: &str, read_only: bool) -> Result<Selected, ImapError> {
        let verb = if read_only { "EXAMINE" } else { "SELECT" };
        let mut selected = SelectedParts::default();
        let command = format!("{verb} {}", quote(folder)?);
        self.run("SELECT", &command, |answer| selected.take(answer)).await?;
        selected.finish()
    }

    /// Looks for mails by a header in several folders at once (one round trip). Folders that cannot
    /// be opened are left out. The comparison is the server's: a substring, so hits are candidates.
    ///
    /// # Errors
    /// When the value cannot be sent or the server breaks off.
    pub async fn search(&mut self, folders: &[String], header: &str, value: &str) -> Result<Vec<Hits>, ImapError> {
        let query = format!("UID SEARCH HEADER {} {}", quote(header)?, quote(value)?);
        let usable: Vec<&String> = folders.iter().filter(|folder| is_quotable(folder)).collect();
        let mut text = String::new();
        let mut tags = Vec::new();
        for folder in usable {
            let (open, search) = (self.next_tag(), self.next_tag());
            text.push_str(&format!("{open} EXAMINE {}\r\n{search} {query}\r\n", quote(folder)?));
            tags.push((folder.clone(), open, search));
        }
        self.write(text.as_bytes()).await?;
        let mut hits = Vec::new();
        for (folder, open, search) in tags {
            let mut selected = SelectedParts::default();
            let opened =
                self.finish("EXAMINE", &open, self.server.limits.command_timeout, |answer| selected.take(answer));
            let opened = opened.await;
            let mut uids = Vec::new();
            let searched = self.finish("SEARCH", &search, self.server.limits.command_timeout, |answer| {
                if let Response::MailboxData(MailboxDatum::Search(found)) = answer {
                    uids.extend_from_slice(found);
                }
            });
            match (opened, searched.await) {
                (Ok(_), Ok(_)) => {
                    uids.sort_unstable();
                    uids.dedup();
                    if !uids.is_empty() {
                        hits.push(Hits { folder, uid_validity: selected.finish()?.uid_validity, uids });
                    }
                }
                (Err(ImapError::Refused { .. }), Ok(_) | Err(ImapError::Refused { .. })) => {}
                (Ok(_), Err(error)) | (Err(error), _) => return Err(error),
            }
        }
        Ok(hits)
    }

    /// Reads a mail of the open folder without marking it read; `None` when the UID is not there.
    ///
    /// # Errors
    /// When the server breaks off or the mail is beyond a limit.
    pub async fn fetch(&mut self, uid: u32) -> Result<Option<Fetched>, ImapError> {
        let command = format!("UID FETCH {uid} (UID FLAGS INTERNALDATE BODY.PEEK[])");
        let mut found = None;
        let limit = self.server.limits.transfer_timeout;
        let tag = self.send(&command).await?;
        self.finish("FETCH", &tag, limit, |answer| {
            if let Some(fetched) = fetched(answer).filter(|fetched| fetched.uid == uid) {
                found = Some(fetched);
            }
        })
        .await?;
        Ok(found)
    }

    /// True when the open folder holds this UID.
    ///
    /// # Errors
    /// When the server breaks off.
    pub async fn has_uid(&mut self, uid: u32) -> Result<bool, ImapError> {
        let mut there = false;
        self.run("FETCH", &format!("UID FETCH {uid} (UID)"), |answer| there |= is_fetch_of(answer, uid)).await?;
        Ok(there)
    }

    /// Returns the UIDs of the open folder from `first` on.
    ///
    /// # Errors
    /// When the server breaks off.
    pub async fn uids_from(&mut self, first: u32) -> Result<Vec<u32>, ImapError> {
        let first = first.max(1);
        let mut uids = Vec::new();
        self.run("SEARCH", &format!("UID SEARCH UID {first}:*"), |answer| {
            if let Response::MailboxData(MailboxDatum::Search(found)) = answer {
                // `n:*` names the last mail even when its UID is smaller
                uids.extend(found.iter().filter(|uid| **uid >= first));
            }
        })
        .await?;
        Ok(uids)
    }

    /// Marks a mail of the open folder as deleted; false when the UID is not there.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn mark_deleted(&mut self, uid: u32) -> Result<bool, ImapError> {
        let mut there = false;
        let command = format!("UID STORE {uid} +FLAGS (\\Deleted)");
        self.run("STORE", &command, |answer| there |= is_fetch_of(answer, uid)).await?;
        // a server need not answer with FETCH when the flag was already set
        Ok(there || self.has_uid(uid).await?)
    }

    /// Sets exactly these flags on a mail of the open folder.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn set_flags(&mut self, uid: u32, flags: &[String]) -> Result<(), ImapError> {
        self.run("STORE", &format!("UID STORE {uid} FLAGS.SILENT {}", flag_list(flags)?), |_| {}).await?;
        Ok(())
    }

    /// Removes one mail marked as deleted from the open folder, and only that one. Returns how many
    /// mails the server says went away.
    ///
    /// # Errors
    /// When the server lacks UIDPLUS, refuses or breaks off.
    pub async fn expunge(&mut self, uid: u32) -> Result<usize, ImapError> {
        if !self.has("UIDPLUS") {
            return Err(ImapError::Unsupported("UIDPLUS: removing single mails"));
        }
        let mut gone = 0;
        self.run("EXPUNGE", &format!("UID EXPUNGE {uid}"), |answer| match answer {
            Response::Expunge(_) => gone += 1,
            Response::Vanished { earlier: false, uids } => {
                gone += uids.iter().filter(|range| range.contains(&uid)).count()
            }
            _ => {}
        })
        .await?;
        Ok(gone)
    }

    /// Moves a mail of the open folder. `None` when the server says OK without saying what it moved:
    /// then nothing was there.
    ///
    /// # Errors
    /// When the server lacks MOVE, refuses or breaks off.
    pub async fn move_to(&mut self, uid: u32, folder: &str) -> Result<Option<CopyUid>, ImapError> {
        if !self.has("MOVE") {
            return Err(ImapError::Unsupported("MOVE"));
        }
        let mut code = None;
        let done = self
            .run("MOVE", &format!("UID MOVE {uid} {}", quote(folder)?), |answer| {
                if let Response::Data { status: Status::Ok, outcome } = answer
                    && let Some(found) = copy_uid(outcome.code.as_ref())
                {
                    code = Some(found);
                }
            })
            .await?;
        Ok(code.or_else(|| copy_uid(done.code.as_ref())))
    }

    /// Makes a folder; one that exists is fine.
    ///
    /// # Errors
    /// When the server refuses for another reason or breaks off.
    pub async fn create(&mut self, folder: &str) -> Result<(), ImapError> {
        match self.run("CREATE", &format!("CREATE {}", quote(folder)?), |_| {}).await {
            Err(ImapError::Refused { text, .. }) if text.to_ascii_lowercase().contains("exist") => Ok(()),
            other => other.map(drop),
        }
    }

    /// Stores a mail with flags and date. Returns validity and UID of the new mail when the server
    /// tells them.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn append(
        &mut self,
        folder: &str,
        flags: &[String],
        internal_date: &str,
        raw: &[u8],
    ) -> Result<Option<(u32, u32)>, ImapError> {
        let plus = self.has("LITERAL+");
        let tag = self.next_tag();
        let mark = if plus { "+" } else { "" };
        let head = format!(
            "{tag} APPEND {} {} {} {{{}{mark}}}\r\n",
            quote(folder)?,
            flag_list(flags)?,
            quote(internal_date)?,
            raw.len()
        );
        self.write(head.as_bytes()).await?;
        let limit = self.server.limits.transfer_timeout;
        if !plus {
            self.wait_continue("APPEND", &tag).await?;
        }
        let end = Instant::now() + limit;
        let written = timeout_at(end, async {
            self.stream.write_all(raw).await?;
            self.stream.write_all(b"\r\n").await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| ImapError::Timeout("APPEND"))??;
        let done = self.finish("APPEND", &tag, limit, |_| {}).await?;
        Ok(match &done.code {
            Some(ResponseCode::AppendUid(validity, uids)) => single(uids).map(|uid| (*validity, uid)),
            _ => None,
        })
    }

    /// Says goodbye without waiting for the answer.
    pub async fn logout(mut self) {
        let _ = self.send("LOGOUT").await;
    }

    fn next_tag(&mut self) -> String {
        self.tag += 1;
        format!("h{}", self.tag)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ImapError> {
        let end = Instant::now() + self.server.limits.command_timeout;
        let written = timeout_at(end, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| ImapError::Timeout("a command"))?.map_err(ImapError::from)
    }

    async fn send(&mut self, command: &str) -> Result<String, ImapError> {
        let tag = self.next_tag();
        self.write(format!("{tag} {command}\r\n").as_bytes()).await?;
        Ok(tag)
    }

    async fn run(
        &mut self,
        name: &'static str,
        command: &str,
        on: impl FnMut(&Response<'_>),
    ) -> Result<Done, ImapError> {
        let tag = self.send(command).await?;
        self.finish(name, &tag, self.server.limits.command_timeout, on).await
    }

    /// Reads answers up to the tagged one.
    async fn finish(
        &mut self,
        name: &'static str,
        tag: &str,
        limit: Duration,
        mut on: impl FnMut(&Response<'_>),
    ) -> Result<Done, ImapError> {
        let end = Instant::now() + limit;
        for _ in 0..self.server.limits.answers_max {
            let answer = timeout_at(end, self.answer()).await.map_err(|_| ImapError::Timeout(name))??;
            if let Some(rest) = tagged(&answer, tag) {
                return done(name, &answer, rest);
            }
            match parse(&answer) {
                Some(Response::Data { status: Status::Bye, .. }) => return Err(ImapError::Closed),
                Some(response) => on(&response),
                // extensions we did not ask for
                None => tracing::debug!(bytes = answer.len(), "an untagged IMAP answer was not understood"),
            }
        }
        Err(ImapError::Malformed(format!("too many answers to {name}")))
    }

    async fn wait_continue(&mut self, name: &'static str, tag: &str) -> Result<(), ImapError> {
        let end = Instant::now() + self.server.limits.command_timeout;
        for _ in 0..self.server.limits.answers_max {
            let answer = timeout_at(end, self.answer()).await.map_err(|_| ImapError::Timeout(name))??;
            if answer.starts_with(b"+") {
                return Ok(());
            }
            if let Some(rest) = tagged(&answer, tag) {
                done(name, &answer, rest)?;
                return Err(ImapError::Malformed(format!("{name} ended before its data")));
            }
        }
        Err(ImapError::Malformed(format!("too many answers to {name}")))
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

#[derive(Default)]
struct SelectedParts {
    uid_validity: Option<u32>,
    uid_next: u32,
    exists: u32,
}

impl SelectedParts {
    fn take(&mut self, answer: &Response<'_>) {
        match answer {
            Response::Data { status: Status::Ok, outcome } => match &outcome.code {
                Some(ResponseCode::UidValidity(validity)) => self.uid_validity = Some(*validity),
                Some(ResponseCode::UidNext(next)) => self.uid_next = *next,
                _ => {}
            },
            Response::MailboxData(MailboxDatum::Exists(count)) => self.exists = *count,
            _ => {}
        }
    }

    fn finish(self) -> Result<Selected, ImapError> {
        let uid_validity = self.uid_validity.ok_or_else(|| ImapError::Malformed("no UIDVALIDITY".to_owned()))?;
        Ok(Selected { uid_validity, exists: self.exists, uid_next: self.uid_next })
    }
}

fn parse(answer: &[u8]) -> Option<Response<'_>> {
    Response::parse(answer).ok().map(|(_, response)| response)
}

/// Returns what follows our tag.
fn tagged<'a>(answer: &'a [u8], tag: &str) -> Option<&'a [u8]> {
    answer.strip_prefix(tag.as_bytes())?.strip_prefix(b" ")
}

fn done(name: &'static str, answer: &[u8], rest: &[u8]) -> Result<Done, ImapError> {
    if rest.get(..2).is_some_and(|word| word.eq_ignore_ascii_case(b"OK")) {
        let code = match parse(answer) {
            Some(Response::Done { outcome, .. }) => outcome.code.map(ResponseCode::into_owned),
            _ => None,
        };
        return Ok(Done { code });
    }
    let text: String = String::from_utf8_lossy(rest).trim().chars().filter(|c| !c.is_control()).take(300).collect();
    Err(ImapError::Refused { command: name, text })
}

fn capability_name(capability: &Capability<'_>) -> String {
    match capability {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(name) => format!("AUTH={}", name.to_ascii_uppercase()),
        Capability::Atom(name) => name.to_ascii_uppercase(),
    }
}

fn special_use(word: &NameAttribute<'_>) -> Option<String> {
    let name = match word {
        NameAttribute::All => "\\All",
        NameAttribute::Archive => "\\Archive",
        NameAttribute::Drafts => "\\Drafts",
        NameAttribute::Flagged => "\\Flagged",
        NameAttribute::Junk => "\\Junk",
        NameAttribute::Sent => "\\Sent",
        NameAttribute::Trash => "\\Trash",
        _ => return None,
    };
    Some(name.to_owned())
}

fn is_fetch_of(answer: &Response<'_>, uid: u32) -> bool {
    let Response::Fetch(_, values) = answer else { return false };
    values.iter().any(|value| matches!(value, AttributeValue::Uid(found) if *found == uid))
}

fn fetched(answer: &Response<'_>) -> Option<Fetched> {
    let Response::Fetch(_, values) = answer else { return None };
    let (mut uid, mut flags, mut date, mut raw) = (None, None, None, None);
    for value in values {
        match value {
            AttributeValue::Uid(value) => uid = Some(*value),
            AttributeValue::Flags(value) => flags = Some(value),
            AttributeValue::InternalDate(value) => date = Some(value.to_string()),
            AttributeValue::BodySection { section: None, index: None, data: Some(data) } => {
                raw = Some(Bytes::copy_from_slice(data));
            }
            _ => {}
        }
    }
    let mut flags: Vec<String> = flags?.iter().map(|flag| flag.to_string()).collect();
    flags.retain(|flag| !flag.eq_ignore_ascii_case("\\Recent"));
    flags.sort();
    Some(Fetched { uid: uid?, flags, internal_date: date?, raw: raw? })
}

fn single(set: &[UidSetMember]) -> Option<u32> {
    match set {
        [UidSetMember::Uid(uid)] => Some(*uid),
        [UidSetMember::UidRange(range)] if range.start() == range.end() => Some(*range.start()),
        _ => None,
    }
}

fn copy_uid(code: Option<&ResponseCode<'_>>) -> Option<CopyUid> {
    let Some(ResponseCode::CopyUid(validity, sources, targets)) = code else { return None };
    Some(CopyUid { uid_validity: *validity, source_uid: single(sources)?, target_uid: single(targets)? })
}
