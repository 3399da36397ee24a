//! The worker's end: answers what the server asks, over the connector it holds.

use super::frame::{Frame, FrameError, PIECE_BYTES_MAX};
use super::link::next_frame;
use super::message::{
    ANSWER_BYTES_MAX, Ask, CHANGES_BYTES_MAX, Failure, FromWorker, MAIL_BYTES_MAX, MailHead, Query, Tell, ToWorker,
    written,
};
use crate::connector::{Changes, Connector, ConnectorError, Mail, Mailbox, NewMail, Tenant, Walk, Whole};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Sessions at a time.
const SESSIONS_MAX: usize = 512;
/// Frames that wait to be written, and questions that wait in a session.
const WAITING_MAX: usize = 64;

/// The mail system a worker works on.
#[derive(Debug, Clone)]
pub struct Served {
    /// Works on its mailboxes.
    pub connector: Arc<dyn Connector>,
    /// Reads them whole, if that is possible.
    pub whole: Option<Arc<dyn Whole>>,
    /// Tells of the system as a whole, if that is possible.
    pub tenant: Option<Arc<dyn Tenant>>,
}

/// Tells the server that the worker cannot work, and why.
///
/// # Errors
/// When the server takes nothing any more.
pub async fn refuse(mut stream: impl AsyncWrite + Unpin, reason: String) -> std::io::Result<()> {
    stream.write_all(&framed(&FromWorker::Failed { reason }, &[])).await?;
    stream.shutdown().await
}

/// Answers until the server closes the stream.
///
/// # Errors
/// When the server does not keep to the protocol.
pub async fn serve<S>(stream: S, served: Served) -> Result<(), FrameError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut read, mut write) = tokio::io::split(stream);
    let (out, mut outgoing) = mpsc::channel::<Vec<u8>>(WAITING_MAX);
    let writer = tokio::spawn(async move {
        while let Some(bytes) = outgoing.recv().await {
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut desk = Desk { served, out, sessions: HashMap::new() };
    let answered = desk.run(&mut read).await;
    writer.abort();
    answered
}

struct Desk {
    served: Served,
    out: mpsc::Sender<Vec<u8>>,
    sessions: HashMap<u64, Held>,
}

/// A session as the desk knows it. Dropping it drops the work.
struct Held {
    asks: mpsc::Sender<In>,
    work: JoinHandle<()>,
}

/// What a session is for.
enum Work {
    /// Mails of this mailbox are looked for.
    Find(String),
    /// This mailbox is read whole.
    Walk(String),
    /// Something of the whole system is asked, once.
    Query(Query),
}

/// What comes in for a session.
enum In {
    Ask(Ask),
    Piece(Bytes),
    Close,
}

impl Desk {
    async fn run(&mut self, read: &mut (impl AsyncRead + Unpin)) -> Result<(), FrameError> {
        let _ = self.out.send(framed(&FromWorker::Ready, &[])).await;
        let mut buffer = BytesMut::with_capacity(64 << 10);
        let answered = loop {
            match next_frame(read, &mut buffer).await {
                Ok(Some(frame)) => match ToWorker::read(&frame.head) {
                    Ok(said) => self.answer(said, frame.piece).await,
                    Err(error) => break Err(error),
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.sessions.drain().for_each(|(_, held)| held.work.abort());
        answered
    }

    async fn answer(&mut self, said: ToWorker, piece: Bytes) {
        let (session, what) = match said {
            ToWorker::Ping => {
                let _ = self.out.send(framed(&FromWorker::Pong, &[])).await;
                return;
            }
            ToWorker::Open { session, mailbox, whole } => {
                let work = if whole { Work::Walk(mailbox) } else { Work::Find(mailbox) };
                return self.begin(session, work).await;
            }
            ToWorker::Query { session, query } => return self.begin(session, Work::Query(query)).await,
            ToWorker::Drop { session } => {
                if let Some(held) = self.sessions.remove(&session) {
                    held.work.abort();
                }
                return;
            }
            ToWorker::Close { session } => {
                if let Some(held) = self.sessions.remove(&session) {
                    let _ = held.asks.send(In::Close).await;
                }
                return;
            }
            ToWorker::Ask { session, ask } => (session, In::Ask(ask)),
            ToWorker::Piece { session } => (session, In::Piece(piece)),
        };
        // a session that ended meanwhile has told so
        if let Some(held) = self.sessions.get(&session) {
            let _ = held.asks.send(what).await;
        }
    }

    async fn begin(&mut self, session: u64, what: Work) {
        let teller = Teller { session, out: self.out.clone() };
        if self.sessions.len() >= SESSIONS_MAX || self.sessions.contains_key(&session) {
            return teller.fail(ConnectorError::refused("the mail worker has too many mailboxes open")).await;
        }
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        let served = self.served.clone();
        let work = tokio::spawn(async move {
            let last = teller.clone();
            let work = async {
                match what {
                    Work::Find(mailbox) => find_work(&served, &mailbox, &teller, asked).await,
                    Work::Walk(mailbox) => walk_work(&served, &mailbox, &teller, asked).await,
                    Work::Query(query) => query_work(&served, query, &teller).await,
                }
            };
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                last.fail(ConnectorError::refused("the mail worker failed over this")).await;
            }
        });
        self.sessions.insert(session, Held { asks, work });
    }
}

/// Work on a mailbox in which mails are looked for.
async fn find_work(served: &Served, name: &str, teller: &Teller, mut asked: mpsc::Receiver<In>) {
    let mut mailbox = match served.connector.open(name).await {
        Ok(mailbox) => mailbox,
        Err(error) => return teller.fail(error).await,
    };
    let mut known = mailbox.abilities();
    teller.tell(Tell::Abilities(known.clone())).await;
    teller.tell(Tell::Opened { folders: Vec::new() }).await;
    while let Some(next) = asked.recv().await {
        let answer = match next {
            In::Close => return mailbox.close().await,
            In::Piece(_) => Err(ConnectorError::refused("bytes of a mail came that nobody announced")),
            In::Ask(ask) => answer(&mut *mailbox, ask, &mut asked).await,
        };
        // whatever it answered, what the system can is known now
        let abilities = mailbox.abilities();
        if abilities != known {
            known = abilities.clone();
            teller.tell(Tell::Abilities(abilities)).await;
        }
        match answer {
            Ok(Said::One(tell)) => teller.tell(tell).await,
            Ok(Said::Mails(mails)) => teller.mails(mails).await,
            Err(error) => teller.fail(error).await,
        }
    }
}

/// Work on a mailbox that is read whole.
async fn walk_work(served: &Served, name: &str, teller: &Teller, mut asked: mpsc::Receiver<In>) {
    let Some(whole) = &served.whole else {
        return teller.fail(ConnectorError::refused("this mail system cannot be read whole")).await;
    };
    let mut walk = match whole.walk(name).await {
        Ok(walk) => walk,
        Err(error) => return teller.fail(error).await,
    };
    teller.tell(Tell::Opened { folders: walk.folders().to_vec() }).await;
    while let Some(next) = asked.recv().await {
        let answer = match next {
            In::Close => return walk.close().await,
            In::Ask(Ask::Changes { folder, since }) => match walk.changes(&folder, since.as_deref()).await {
                Ok(changes) => {
                    teller.changes(changes).await;
                    continue;
                }
                Err(error) => Err(error),
            },
            In::Ask(Ask::Fetch(id)) => fetched(&mut *walk, &id).await.map(Said::Mails),
            In::Ask(_) | In::Piece(_) => Err(ConnectorError::refused("this is not asked of a mailbox read whole")),
        };
        match answer {
            Ok(Said::One(tell)) => teller.tell(tell).await,
            Ok(Said::Mails(mails)) => teller.mails(mails).await,
            Err(error) => teller.fail(error).await,
        }
    }
}

/// Answers a question about the whole system.
async fn query_work(served: &Served, query: Query, teller: &Teller) {
    let Some(tenant) = &served.tenant else { return teller.listed(None).await };
    let told = match query {
        Query::Owners => tenant.owners().await.map(|owners| Some(serde_json::to_vec(&owners))),
        Query::Recipients(asked) => {
            tenant.recipients(&asked).await.map(|told| told.map(|told| serde_json::to_vec(&told)))
        }
    };
    match told {
        Ok(told) => teller.listed(told.map(Result::unwrap_or_default)).await,
        Err(error) => teller.fail(error).await,
    }
}

async fn fetched(walk: &mut dyn Walk, id: &str) -> Result<Vec<Mail>, ConnectorError> {
    use crate::connector::{Folder, MailId, Place};
    let Some(held) = walk.fetch(id).await? else { return Ok(Vec::new()) };
    // where it is, is known to who asks
    let folder = Folder { id: String::new(), name: String::new(), role: None };
    let place = Place { folder, id: MailId::Immutable { id: String::new() } };
    Ok(vec![Mail { place, flags: Vec::new(), internal_date: held.internal_date, raw: held.raw }])
}

enum Said {
    One(Tell),
    Mails(Vec<Mail>),
}

async fn answer(mailbox: &mut dyn Mailbox, ask: Ask, asked: &mut mpsc::Receiver<In>) -> Result<Said, ConnectorError> {
    Ok(match ask {
        Ask::Candidates { search, max } => Said::Mails(mailbox.candidates(&search, max).await?),
        Ask::Since { mark, max } => Said::Mails(mailbox.since(&mark, max).await?),
        Ask::Put { mark, flags, internal_date, size } => {
            let raw = received(asked, size).await?;
            let new = NewMail { flags, internal_date, raw };
            Said::Mails(vec![mailbox.put(&mark, &new).await?])
        }
        Ask::IsAt(place) => Said::One(Tell::Flag(mailbox.is_at(&place).await?)),
        Ask::Folder(role) => Said::One(Tell::Folder(mailbox.folder(role).await?)),
        Ask::Relocate { from, to } => Said::One(Tell::Place(mailbox.relocate(&from, &to).await?)),
        Ask::Destroy(place) => Said::One(Tell::Flag(mailbox.destroy(&place).await?)),
        Ask::Mark(folder) => Said::One(Tell::Mark(mailbox.mark(&folder).await?)),
        Ask::Changes { .. } | Ask::Fetch(_) => {
            return Err(ConnectorError::refused("this is asked of mailboxes read whole only"));
        }
    })
}

/// Reads the pieces of a mail.
async fn received(asked: &mut mpsc::Receiver<In>, size: u64) -> Result<Bytes, ConnectorError> {
    let mut raw = BytesMut::new();
    while (raw.len() as u64) < size {
        match asked.recv().await {
            Some(In::Piece(piece)) if !piece.is_empty() && (raw.len() + piece.len()) as u64 <= size => {
                raw.extend_from_slice(&piece);
            }
            _ => return Err(ConnectorError::refused("the bytes of a mail did not come as announced")),
        }
    }
    Ok(raw.freeze())
}

/// Tells the server what became of a session's questions.
#[derive(Clone)]
struct Teller {
    session: u64,
    out: mpsc::Sender<Vec<u8>>,
}

impl Teller {
    async fn tell(&self, tell: Tell) {
        self.with(tell, &[]).await;
    }

    async fn fail(&self, error: ConnectorError) {
        self.tell(Tell::Error(Failure::from(error))).await;
    }

    async fn with(&self, tell: Tell, piece: &[u8]) {
        // nobody listens any more: the desk ends too
        let _ = self.out.send(framed(&FromWorker::Told { session: self.session, tell }, piece)).await;
    }

    async fn mails(&self, mails: Vec<Mail>) {
        let sizes = mails.iter().map(|mail| mail.raw.len() as u64);
        if sizes.clone().sum::<u64>() > ANSWER_BYTES_MAX || sizes.clone().any(|size| size > MAIL_BYTES_MAX) {
            let limit = ANSWER_BYTES_MAX >> 20;
            return self.fail(ConnectorError::refused(format!("the mails are more than {limit} MiB"))).await;
        }
        for mail in mails {
            self.tell(Tell::Mail(MailHead::of(&mail))).await;
            for piece in mail.raw.chunks(PIECE_BYTES_MAX) {
                self.with(Tell::Piece, piece).await;
            }
        }
        self.tell(Tell::End).await;
    }

    async fn changes(&self, changes: Option<Changes>) {
        let bytes = changes.map(|changes| serde_json::to_vec(&changes).unwrap_or_default());
        self.bytes(bytes, |size| Tell::Changes { size }, "the folder holds too many mails").await;
    }

    async fn listed(&self, bytes: Option<Vec<u8>>) {
        self.bytes(bytes, |size| Tell::Listed { size }, "the list is too long").await;
    }

    async fn bytes(&self, bytes: Option<Vec<u8>>, head: impl Fn(Option<u64>) -> Tell, too_many: &str) {
        let Some(bytes) = bytes else { return self.tell(head(None)).await };
        if bytes.len() as u64 > CHANGES_BYTES_MAX {
            return self.fail(ConnectorError::refused(too_many)).await;
        }
        self.tell(head(Some(bytes.len() as u64))).await;
        for piece in bytes.chunks(PIECE_BYTES_MAX) {
            self.with(Tell::Piece, piece).await;
        }
    }
}

/// The frame of something we say.
fn framed(said: &FromWorker, piece: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(piece.len() + 512);
    if let Err(error) = Frame::put(&written(said), piece, &mut bytes) {
        // a folder list or a text beyond all measure
        let FromWorker::Told { session, .. } = said else { return bytes };
        let failure = Failure::Refused { attempt: error.0, cause: None };
        let instead = FromWorker::Told { session: *session, tell: Tell::Error(failure) };
        Frame::put(&written(&instead), &[], &mut bytes).expect("an error is short");
    }
    bytes
}
