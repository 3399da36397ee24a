//! Graph as a mailbox connector.

use super::{Client, Clock, Graph, GraphError, Limits, MailFolder, Message, Settings, Within};
use crate::connector::{
    Abilities, Connector, ConnectorError, Folder, FolderRole, Mail, MailId, Mailbox, Mark, NewMail, Place, Search,
};
use futures::future::BoxFuture;
use hinomi_model::Text;
use std::collections::HashMap;
use std::sync::Arc;

/// Roles in the order in which mails are likely to be there.
pub(super) const ROLES: [FolderRole; 7] = [
    FolderRole::Inbox,
    FolderRole::Junk,
    FolderRole::DeletedItems,
    FolderRole::Recoverable,
    FolderRole::Archive,
    FolderRole::Sent,
    FolderRole::Drafts,
];

/// The mailboxes of a Microsoft 365 tenant.
#[derive(Clone, Debug)]
pub struct GraphConnector {
    graph: Graph,
    limits: Limits,
}

impl GraphConnector {
    /// Prepares the connector; nothing is sent yet.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, GraphError> {
        let limits = settings.limits.clone();
        Ok(GraphConnector { graph: Graph::new(Client::new(settings, clock)?), limits })
    }

    /// The calls beneath.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
}

impl Connector for GraphConnector {
    fn open<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Box<dyn Mailbox>, ConnectorError>> {
        let opened = GraphMailbox {
            graph: self.graph.clone(),
            name: mailbox.to_owned(),
            folders: HashMap::new(),
            roles: HashMap::new(),
        };
        Box::pin(async move { Ok(Box::new(opened) as Box<dyn Mailbox>) })
    }

    fn concurrency(&self) -> usize {
        self.limits.mailboxes
    }
}

/// One mailbox; remembers the folders it has seen.
struct GraphMailbox {
    graph: Graph,
    name: String,
    folders: HashMap<String, Folder>,
    /// Ids of folders asked for by role; none = the mailbox has none.
    roles: HashMap<FolderRole, Option<String>>,
}

impl GraphMailbox {
    async fn hits(&self, within: Within, search: &Search, max: usize) -> Result<Vec<Message>, GraphError> {
        let (graph, name) = (&self.graph, &self.name);
        match search {
            Search::MessageId(id) => graph.by_message_id(name, within, id, max).await,
            Search::OwnId(id) => graph.by_header(name, within, crate::remediate::OWN_ID_HEADER, id, max).await,
            Search::Body(words) => graph.by_body(name, within, words, max).await,
        }
    }

    async fn read(&mut self, message: Message) -> Result<Option<Mail>, ConnectorError> {
        let Some(raw) = self.graph.mime(&self.name, &message.id).await? else { return Ok(None) };
        let parent = message.parent_folder_id.clone().unwrap_or_default();
        let folder = self.folder_of(&parent).await?;
        let internal_date = message
            .received_date_time
            .as_deref()
            .and_then(internal_date)
            .ok_or_else(|| ConnectorError::Changed("the service tells no time of arrival for a mail".to_owned()))?;
        let flags = flags(&message);
        let place = Place { folder, id: MailId::Immutable { id: message.id } };
        Ok(Some(Mail { place, flags, internal_date, raw }))
    }

    /// The folder of this id, with its role if it has one.
    async fn folder_of(&mut self, id: &str) -> Result<Folder, ConnectorError> {
        for role in ROLES {
            if self.role_id(role).await?.as_deref() == Some(id) {
                break;
            }
        }
        if let Some(known) = self.folders.get(id) {
            return Ok(known.clone());
        }
        let found = self.graph.folder(&self.name, id).await?;
        let found = found.ok_or_else(|| ConnectorError::Changed("the folder of a mail is gone".to_owned()))?;
        Ok(self.remember(found, None))
    }

    async fn role_id(&mut self, role: FolderRole) -> Result<Option<String>, ConnectorError> {
        if let Some(known) = self.roles.get(&role) {
            return Ok(known.clone());
        }
        let found = self.graph.folder(&self.name, well_known(role)).await?;
        let id = found.map(|folder| self.remember(folder, Some(role)).id);
        self.roles.insert(role, id.clone());
        Ok(id)
    }

    fn remember(&mut self, found: MailFolder, role: Option<FolderRole>) -> Folder {
        let name = found.display_name.unwrap_or_else(|| well_known(role.unwrap_or(FolderRole::Inbox)).to_owned());
        let folder = Folder { id: found.id.clone(), name, role };
        self.folders.insert(found.id, folder.clone());
        folder
    }
}

impl Mailbox for GraphMailbox {
    fn abilities(&self) -> Abilities {
        let drafts = Text::new(
            "Microsoft Graph stores new mails as drafts only, so a removed mail is kept in the mailbox's hidden \
             folder and moved back from there; a mail removed for good cannot be put back",
            "Microsoft Graph では新しいメールを下書きとしてしか保存できません。取り除いたメールはメールボックスの\
             非表示フォルダーに置き、そこから戻します。完全に削除したメールは戻せません",
        );
        Abilities { puts: false, hides: true, missing: vec![drafts] }
    }

    fn candidates<'a>(
        &'a mut self,
        search: &'a Search,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<Mail>, ConnectorError>> {
        Box::pin(async move {
            let (visible, hidden) =
                futures::try_join!(self.hits(Within::Visible, search, max), self.hits(Within::Hidden, search, max))?;
            if visible.len() + hidden.len() > max {
                return Err(ConnectorError::refused(format!("more than {max} mails of the mailbox match")));
            }
            let mut mails = Vec::new();
            for message in visible.into_iter().chain(hidden) {
                // gone between search and read: its owner removed it
                mails.extend(self.read(message).await?);
            }
            Ok(mails)
        })
    }

    fn is_at<'a>(&'a mut self, place: &'a Place) -> BoxFuture<'a, Result<bool, ConnectorError>> {
        Box::pin(async move {
            let found = self.graph.message(&self.name, own_id(place)?).await?;
            Ok(found.is_some_and(|message| message.parent_folder_id.as_deref() == Some(&place.folder.id)))
        })
    }

    fn folder<'a>(&'a mut self, role: FolderRole) -> BoxFuture<'a, Result<Folder, ConnectorError>> {
        Box::pin(async move {
            let known = self.role_id(role).await?.and_then(|id| self.folders.get(&id).cloned());
            known.ok_or_else(|| {
                let name = well_known(role);
                ConnectorError::Unable(Text::new(
                    format!("the mailbox has no folder {name}"),
                    format!("メールボックスにフォルダー {name} がありません"),
                ))
            })
        })
    }

    fn relocate<'a>(
        &'a mut self,
        from: &'a Place,
        to: &'a Folder,
    ) -> BoxFuture<'a, Result<Option<Place>, ConnectorError>> {
        Box::pin(async move {
            if !self.is_at(from).await? {
                return Ok(None);
            }
            let moved = self.graph.relocate(&self.name, own_id(from)?, &to.id).await?;
            Ok(moved.map(|moved| {
                if !moved.kept_id {
                    tracing::warn!("Microsoft Graph gave a moved mail another id although asked for immutable ones");
                }
                Place { folder: to.clone(), id: MailId::Immutable { id: moved.message.id } }
            }))
        })
    }

    fn destroy<'a>(&'a mut self, place: &'a Place) -> BoxFuture<'a, Result<bool, ConnectorError>> {
        Box::pin(async move {
            if !self.is_at(place).await? {
                return Ok(false);
            }
            match self.graph.permanent_delete(&self.name, own_id(place)?).await {
                Err(GraphError::Refused { status: 400 | 404 | 405 | 501, .. }) => {
                    Err(ConnectorError::Unable(Text::new(
                        "this Microsoft cloud does not offer permanent removal",
                        "この Microsoft クラウドには完全削除の機能がありません",
                    )))
                }
                other => Ok(other?),
            }
        })
    }

    fn mark<'a>(&'a mut self, folder: &'a Folder) -> BoxFuture<'a, Result<Mark, ConnectorError>> {
        Box::pin(async move {
            if self.graph.folder(&self.name, &folder.id).await?.is_none() {
                return Err(ConnectorError::refused(format!("the folder {} is gone", folder.name)));
            }
            let from = self.graph.recently();
            Ok(Mark { folder: folder.clone(), next: MailId::Immutable { id: from } })
        })
    }

    fn put<'a>(&'a mut self, _mark: &'a Mark, _mail: &'a NewMail) -> BoxFuture<'a, Result<Mail, ConnectorError>> {
        Box::pin(async { Err(no_put()) })
    }

    fn since<'a>(&'a mut self, mark: &'a Mark, max: usize) -> BoxFuture<'a, Result<Vec<Mail>, ConnectorError>> {
        Box::pin(async move {
            let MailId::Immutable { id: from } = &mark.next else {
                return Err(ConnectorError::refused("this mark is not one of a Microsoft 365 mailbox"));
            };
            let mut mails = Vec::new();
            for message in self.graph.changed_since(&self.name, &mark.folder.id, from, max).await? {
                mails.extend(self.read(message).await?);
            }
            Ok(mails)
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

fn no_put() -> ConnectorError {
    ConnectorError::Unable(Text::new(
        "Microsoft Graph stores new mails as drafts only",
        "Microsoft Graph では新しいメールを下書きとしてしか保存できません",
    ))
}

fn own_id(place: &Place) -> Result<&str, ConnectorError> {
    match &place.id {
        MailId::Immutable { id } => Ok(id),
        _ => Err(ConnectorError::refused("this place is not one of a Microsoft 365 mailbox")),
    }
}

/// Names that are the same in every language (Microsoft, "mailFolder resource type").
pub(super) fn well_known(role: FolderRole) -> &'static str {
    match role {
        FolderRole::Inbox => "inbox",
        FolderRole::Junk => "junkemail",
        FolderRole::DeletedItems => "deleteditems",
        FolderRole::Sent => "sentitems",
        FolderRole::Drafts => "drafts",
        FolderRole::Archive => "archive",
        FolderRole::Recoverable => "recoverableitemsdeletions",
    }
}

/// Flags as IMAP names them.
fn flags(message: &Message) -> Vec<String> {
    let mut flags = Vec::new();
    if message.is_draft == Some(true) {
        flags.push("\\Draft".to_owned());
    }
    if message.flag.as_ref().and_then(|flag| flag.flag_status.as_deref()) == Some("flagged") {
        flags.push("\\Flagged".to_owned());
    }
    if message.is_read == Some(true) {
        flags.push("\\Seen".to_owned());
    }
    flags
}

/// RFC 3339 in UTC as IMAP writes INTERNALDATE.
pub(super) fn internal_date(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let utc = hinomi_model::Timestamp::parse(text)?.to_string();
    let (date, time) = utc.split_once('T')?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some(format!("{day}-{month}-{year} {} +0000", time.get(..8)?))
}

impl From<GraphError> for ConnectorError {
    fn from(error: GraphError) -> Self {
        let attempt = "ask Microsoft Graph".to_owned();
        match error {
            GraphError::TooMany { max, .. } => {
                ConnectorError::refused(format!("more than {max} mails of the mailbox match"))
            }
            error if error.is_passing() => {
                ConnectorError::Passing { attempt, retry_after: error.retry_after(), source: Some(Box::new(error)) }
            }
            error => ConnectorError::Refused { attempt, source: Some(Box::new(error)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_flags_are_those_of_imap() {
        assert_eq!(internal_date("2026-11-22T02:27:03Z").as_deref(), Some("22-Nov-2026 02:27:03 +0000"));
        assert_eq!(internal_date("2026-11-22T11:27:03+09:00").as_deref(), Some("22-Nov-2026 02:27:03 +0000"));
        assert_eq!(internal_date("yesterday"), None);
        let message: Message = serde_json::from_str(
            r#"{"id":"A","isRead":true,"isDraft":false,"flag":{"flagStatus":"flagged"},"subject":"x"}"#,
        )
        .expect("message");
        assert_eq!(flags(&message), ["\\Flagged", "\\Seen"]);
    }
}
