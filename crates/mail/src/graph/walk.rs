//! Mailboxes of a tenant read whole, folder by folder, by delta queries.

use super::connector::{GraphConnector, ROLES, internal_date, well_known};
use super::{Graph, GraphError, Link, Message};
use crate::connector::{Came, Changes, ConnectorError, Folder, FolderRole, Gone, Held, Walk, Whole};
use futures::future::BoxFuture;
use std::collections::{HashMap, HashSet};

/// Mails of a folder that is read anew, at most; a bound of ours.
const MAILS_MAX: usize = 1_000_000;

/// Times a listing is begun whose links the service forgets in the middle.
const LISTINGS_MAX: usize = 4;

struct GraphWalk {
    graph: Graph,
    mailbox: String,
    folders: Vec<Folder>,
    /// When the mails of the last answer were received, by id, as IMAP writes it.
    received: HashMap<String, String>,
}

impl Whole for GraphConnector {
    fn walk<'a>(&'a self, mailbox: &'a str) -> BoxFuture<'a, Result<Box<dyn Walk>, ConnectorError>> {
        Box::pin(async move {
            let graph = self.graph().clone();
            let mut roles = HashMap::new();
            for role in ROLES {
                if let Some(folder) = graph.folder(mailbox, well_known(role)).await? {
                    roles.insert(folder.id, role);
                }
            }
            let folders = graph.folders(mailbox).await?.into_iter();
            let folders = folders.map(|found| {
                let role = roles.get(&found.id).copied();
                let name = found.display_name.unwrap_or_else(|| found.id.clone());
                Folder { id: found.id, name, role }
            });
            let holds_mail = |role| !matches!(role, Some(FolderRole::Drafts | FolderRole::Recoverable));
            let folders = folders.filter(|folder| holds_mail(folder.role)).collect();
            Ok(Box::new(GraphWalk { graph, mailbox: mailbox.to_owned(), folders, received: HashMap::new() })
                as Box<dyn Walk>)
        })
    }
}

impl GraphWalk {
    fn came(&mut self, mails: Vec<Message>) -> Vec<Came> {
        let mut came = Vec::with_capacity(mails.len());
        for mail in mails.into_iter().filter(|mail| mail.is_draft != Some(true)) {
            if let Some(at) = mail.received_date_time.as_deref().and_then(internal_date) {
                self.received.insert(mail.id.clone(), at);
            }
            came.push(Came { id: mail.id, then: None });
        }
        came
    }

    /// All a folder holds, whatever was known of it.
    async fn all(&mut self, folder: &str) -> Result<Changes, ConnectorError> {
        let (mut new, mut since): (Vec<Came>, _) = (Vec::new(), None);
        let mut begun = 1;
        loop {
            let page = match self.graph.delta(&self.mailbox, folder, since.as_deref()).await {
                // forgotten between two pages of the listing
                Err(GraphError::DeltaExpired) if begun < LISTINGS_MAX => {
                    begun += 1;
                    new.clear();
                    since = None;
                    continue;
                }
                page => page?,
            };
            // what left while the list was read
            let left: HashSet<String> = page.removed.into_iter().collect();
            new.retain(|came| !left.contains(&came.id));
            let came = self.came(page.changed);
            new.extend(came);
            if new.len() > MAILS_MAX {
                return Err(ConnectorError::refused(format!("the folder holds more than {MAILS_MAX} mails")));
            }
            match page.next {
                Link::More(link) => since = Some(link),
                Link::Done(cursor) => {
                    let gone = Gone::AllBut(new.iter().map(|came| came.id.clone()).collect());
                    return Ok(Changes { anew: false, new, gone, cursor, more: false });
                }
            }
        }
    }
}

impl Walk for GraphWalk {
    fn folders(&self) -> &[Folder] {
        &self.folders
    }

    fn changes<'a>(
        &'a mut self,
        folder: &'a str,
        since: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<Changes>, ConnectorError>> {
        Box::pin(async move {
            self.received.clear();
            let page = match self.graph.delta(&self.mailbox, folder, since).await {
                // the service forgets links after a while; immutable ids stay as they are
                Err(GraphError::DeltaExpired) if since.is_some() => return self.all(folder).await.map(Some),
                Err(GraphError::Refused { status: 403 | 404, .. }) => return Ok(None),
                page => page?,
            };
            let new = self.came(page.changed);
            let (cursor, more) = match page.next {
                Link::More(link) => (link, true),
                Link::Done(link) => (link, false),
            };
            Ok(Some(Changes { anew: false, new, gone: Gone::These(page.removed), cursor, more }))
        })
    }

    fn fetch<'a>(&'a mut self, id: &'a str) -> BoxFuture<'a, Result<Option<Held>, ConnectorError>> {
        Box::pin(async move {
            let Some(raw) = self.graph.mime(&self.mailbox, id).await? else { return Ok(None) };
            Ok(Some(Held { internal_date: self.received.get(id).cloned().unwrap_or_default(), raw }))
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}
