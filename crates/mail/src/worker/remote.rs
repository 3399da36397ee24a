//! A mail system behind a mail worker, as a connector like any other.

use super::frame::PIECE_BYTES_MAX;
use super::link::{Link, Session};
use super::message::{ANSWER_BYTES_MAX, Ask, CHANGES_BYTES_MAX, MailHead, Query, Tell, ToWorker, put_of};
use crate::connector::{
    Abilities, Changes, Connector, ConnectorError, Folder, FolderRole, Held, Mail, Mailbox, Mark, NewMail, Owner,
    Place, Search, Tenant, TraceAsked, Traced, Walk, Whole,
};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for any answer: the connectors' own deadlines end earlier.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1_800);

type Answer<'a, T> = BoxFuture<'a, Result<T, ConnectorError>>;

/// Where the worker of a mail system is found: started, started again when it ended.
pub trait Workers: Send + Sync + std::fmt::Debug {
    /// Returns a living connection to the worker.
    ///
    /// # Errors
    /// When there is none and none can be started now.
    fn link(&self) -> Answer<'_, Arc<Link>>;
}

/// The mailboxes of a system that a worker talks to.
#[derive(Debug, Clone)]
pub struct RemoteConnector {
    workers: Arc<dyn Workers>,
    concurrency: usize,
}

impl RemoteConnector {
    /// A connector over the worker of a mail system.
    pub fn new(workers: Arc<dyn Workers>, concurrency: usize) -> Self {
        RemoteConnector { workers, concurrency: concurrency.max(1) }
    }

    async fn begin(&self, mailbox: &str, whole: bool) -> Result<(RemoteMailbox, Vec<Folder>), ConnectorError> {
        let open = |session| ToWorker::Open { session, mailbox: mailbox.to_owned(), whole };
        let mut opened = self.session(open).await?;
        match opened.answer().await? {
            (Tell::Opened { folders }, _) => Ok((opened, folders)),
            _ => Err(opened.session.nonsense("it answered something else than that a mailbox is open")),
        }
    }
}

impl RemoteConnector {
    async fn session(&self, first: impl FnOnce(u64) -> ToWorker) -> Result<RemoteMailbox, ConnectorError> {
        let session = self.workers.link().await?.begin(first)?;
        Ok(RemoteMailbox { session, abilities: Abilities::default() })
    }

    /// Asks about the whole system; `None` when it does not offer that.
    async fn query<T: DeserializeOwned>(&self, query: Query) -> Result<Option<Vec<T>>, ConnectorError> {
        let mut asked = self.session(|session| ToWorker::Query { session, query }).await?;
        let listed = match asked.answer().await?.0 {
            Tell::Listed { size: None } => None,
            Tell::Listed { size: Some(size) } if size <= CHANGES_BYTES_MAX => {
                let bytes = asked.pieces(size).await?;
                Some(serde_json::from_slice(&bytes).map_err(|_| asked.misfit())?)
            }
            _ => return Err(asked.misfit()),
        };
        asked.session.close();
        Ok(listed)
    }
}

impl Tenant for RemoteConnector {
    fn owners(&self) -> Answer<'_, Vec<Owner>> {
        Box::pin(async move { Ok(self.query(Query::Owners).await?.unwrap_or_default()) })
    }

    fn recipients<'a>(&'a self, asked: &'a TraceAsked) -> Answer<'a, Option<Vec<Traced>>> {
        Box::pin(async move {
            let told: Option<Vec<Traced>> = self.query(Query::Recipients(asked.clone())).await?;
            match told {
                Some(told) if told.len() > asked.max => {
                    Err(ConnectorError::refused("the mail worker tells more recipients than were asked for"))
                }
                told => Ok(told),
            }
        })
    }
}

impl Connector for RemoteConnector {
    fn open<'a>(&'a self, mailbox: &'a str) -> Answer<'a, Box<dyn Mailbox>> {
        Box::pin(async move {
            let (opened, _) = self.begin(mailbox, false).await?;
            Ok(Box::new(opened) as Box<dyn Mailbox>)
        })
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}

impl Whole for RemoteConnector {
    fn walk<'a>(&'a self, mailbox: &'a str) -> Answer<'a, Box<dyn Walk>> {
        Box::pin(async move {
            let (mailbox, folders) = self.begin(mailbox, true).await?;
            Ok(Box::new(RemoteWalk { mailbox, folders }) as Box<dyn Walk>)
        })
    }
}

struct RemoteMailbox {
    session: Session,
    abilities: Abilities,
}

impl RemoteMailbox {
    /// The next thing told; an error told is an error, abilities are remembered.
    async fn answer(&mut self) -> Result<(Tell, Bytes), ConnectorError> {
        loop {
            let told = timeout(ANSWER_TIME_MAX, self.session.next()).await;
            match told.map_err(|_| self.session.nonsense("it does not answer"))?? {
                (Tell::Abilities(abilities), _) => self.abilities = abilities,
                (Tell::Error(failure), _) => return Err(failure.into()),
                other => return Ok(other),
            }
        }
    }

    fn ask(&self, ask: Ask) -> Result<(), ConnectorError> {
        self.session.say(&ToWorker::Ask { session: self.session.number(), ask }, &[])
    }

    async fn asked(&mut self, ask: Ask) -> Result<Tell, ConnectorError> {
        self.ask(ask)?;
        Ok(self.answer().await?.0)
    }

    fn misfit(&self) -> ConnectorError {
        self.session.nonsense("its answer does not fit the question")
    }

    /// Reads mails up to the end of the answer.
    async fn mails(&mut self, max: usize) -> Result<Vec<Mail>, ConnectorError> {
        let mut mails = Vec::new();
        let mut room = ANSWER_BYTES_MAX;
        loop {
            match self.answer().await?.0 {
                Tell::End => return Ok(mails),
                Tell::Mail(head) if mails.len() < max && head.size <= room => {
                    room -= head.size;
                    mails.push(self.mail(head).await?);
                }
                Tell::Mail(_) => return Err(self.session.nonsense("it tells more mails than were asked for")),
                _ => return Err(self.misfit()),
            }
        }
    }

    async fn mail(&mut self, head: MailHead) -> Result<Mail, ConnectorError> {
        let raw = self.pieces(head.size).await?;
        Ok(head.with(raw))
    }

    /// Bytes that were announced.
    async fn pieces(&mut self, size: u64) -> Result<Bytes, ConnectorError> {
        let size = usize::try_from(size).map_err(|_| self.misfit())?;
        // grows with what comes, not with what is promised
        let mut raw = BytesMut::new();
        while raw.len() < size {
            match self.answer().await? {
                (Tell::Piece, piece) if !piece.is_empty() && raw.len() + piece.len() <= size => {
                    if piece.len() == size {
                        return Ok(piece);
                    }
                    raw.extend_from_slice(&piece);
                }
                _ => return Err(self.misfit()),
            }
        }
        Ok(raw.freeze())
    }

    /// One mail, or none.
    async fn at_most_one(&mut self) -> Result<Option<Mail>, ConnectorError> {
        Ok(self.mails(1).await?.pop())
    }
}

impl Mailbox for RemoteMailbox {
    fn abilities(&self) -> Abilities {
        self.abilities.clone()
    }

    fn candidates<'a>(&'a mut self, search: &'a Search, max: usize) -> Answer<'a, Vec<Mail>> {
        Box::pin(async move {
            self.ask(Ask::Candidates { search: search.clone(), max })?;
            self.mails(max).await
        })
    }

    fn is_at<'a>(&'a mut self, place: &'a Place) -> Answer<'a, bool> {
        Box::pin(async move {
            match self.asked(Ask::IsAt(place.clone())).await? {
                Tell::Flag(is_there) => Ok(is_there),
                _ => Err(self.misfit()),
            }
        })
    }

    fn folder<'a>(&'a mut self, role: FolderRole) -> Answer<'a, Folder> {
        Box::pin(async move {
            match self.asked(Ask::Folder(role)).await? {
                Tell::Folder(folder) if folder.role == Some(role) => Ok(folder),
                _ => Err(self.misfit()),
            }
        })
    }

    fn relocate<'a>(&'a mut self, from: &'a Place, to: &'a Folder) -> Answer<'a, Option<Place>> {
        Box::pin(async move {
            match self.asked(Ask::Relocate { from: from.clone(), to: to.clone() }).await? {
                Tell::Place(place) if place.as_ref().is_none_or(|place| place.folder.id == to.id) => Ok(place),
                _ => Err(self.misfit()),
            }
        })
    }

    fn destroy<'a>(&'a mut self, place: &'a Place) -> Answer<'a, bool> {
        Box::pin(async move {
            match self.asked(Ask::Destroy(place.clone())).await? {
                Tell::Flag(was_there) => Ok(was_there),
                _ => Err(self.misfit()),
            }
        })
    }

    fn mark<'a>(&'a mut self, folder: &'a Folder) -> Answer<'a, Mark> {
        Box::pin(async move {
            match self.asked(Ask::Mark(folder.clone())).await? {
                Tell::Mark(mark) if mark.folder.id == folder.id => Ok(mark),
                _ => Err(self.misfit()),
            }
        })
    }

    fn put<'a>(&'a mut self, mark: &'a Mark, mail: &'a NewMail) -> Answer<'a, Mail> {
        Box::pin(async move {
            self.ask(put_of(mark, mail))?;
            for piece in mail.raw.chunks(PIECE_BYTES_MAX) {
                self.session.say(&ToWorker::Piece { session: self.session.number() }, piece)?;
            }
            match self.at_most_one().await? {
                Some(kept) if kept.place.folder.id == mark.folder.id => Ok(kept),
                _ => Err(self.misfit()),
            }
        })
    }

    fn since<'a>(&'a mut self, mark: &'a Mark, max: usize) -> Answer<'a, Vec<Mail>> {
        Box::pin(async move {
            self.ask(Ask::Since { mark: mark.clone(), max })?;
            self.mails(max).await
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.session.close();
        Box::pin(async {})
    }
}

struct RemoteWalk {
    mailbox: RemoteMailbox,
    folders: Vec<Folder>,
}

impl Walk for RemoteWalk {
    fn folders(&self) -> &[Folder] {
        &self.folders
    }

    fn changes<'a>(&'a mut self, folder: &'a str, since: Option<&'a str>) -> Answer<'a, Option<Changes>> {
        Box::pin(async move {
            let ask = Ask::Changes { folder: folder.to_owned(), since: since.map(str::to_owned) };
            match self.mailbox.asked(ask).await? {
                Tell::Changes { size: None } => Ok(None),
                Tell::Changes { size: Some(size) } if size <= CHANGES_BYTES_MAX => {
                    let bytes = self.mailbox.pieces(size).await?;
                    let changes: Changes = serde_json::from_slice(&bytes).map_err(|_| self.mailbox.misfit())?;
                    Ok(Some(changes))
                }
                _ => Err(self.mailbox.misfit()),
            }
        })
    }

    fn fetch<'a>(&'a mut self, id: &'a str) -> Answer<'a, Option<Held>> {
        Box::pin(async move {
            self.mailbox.ask(Ask::Fetch(id.to_owned()))?;
            let mail = self.mailbox.at_most_one().await?;
            Ok(mail.map(|mail| Held { internal_date: mail.internal_date, raw: mail.raw }))
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::new(self.mailbox).close()
    }
}
