//! One mailbox over IMAP, also on servers that lack UIDPLUS or MOVE.

use super::super::{
    Abilities, ConnectorError, Folder, FolderRole, Mail, MailId, Mailbox, Mark, NewMail, Place, Search,
};
use super::Shared;
use super::pool::Pool;
use crate::imap::{Connection, Fetched, Hits, ImapError, Listed, Query, Selected, folder_for_people};
use crate::remediate::OWN_ID_HEADER;
use futures::future::BoxFuture;
use hinomi_model::Text;
use std::sync::Arc;

/// Bytes of all candidates of one search together; a sender chooses their number and size.
const CANDIDATE_BYTES_MAX: usize = 256 << 20;

/// Mailboxes one login turns to before a new one: a server remembers each of them as long as it lasts.
const ENTERED_MAX: u32 = 200;

/// Names of folders whose server does not tell their use (no SPECIAL-USE), in lower case as people
/// read them; the first is the one we make.
const JUNK_NAMES: &[&str] = &["junk", "spam", "junk e-mail", "junk email", "bulk mail", "迷惑メール"];
const DELETED_NAMES: &[&str] =
    &["trash", "deleted items", "deleted messages", "deleted", "ごみ箱", "ゴミ箱", "削除済みアイテム"];
const SENT_NAMES: &[&str] = &["sent", "sent items", "sent messages", "sent mail", "送信済み", "送信済みアイテム"];

type Answer<'a, T> = BoxFuture<'a, Result<T, ConnectorError>>;

/// A mailbox behind a connection of its own.
pub(super) struct ImapMailbox {
    name: String,
    connection: Connection,
    folders: Vec<Folder>,
    shared: Arc<Shared>,
    pooled_as: String,
    /// False after an error: nobody knows what state the connection is in.
    sound: bool,
}

impl ImapMailbox {
    pub(super) fn new(name: &str, connection: Connection, shared: Arc<Shared>, pooled_as: String) -> Self {
        ImapMailbox { name: name.to_owned(), connection, folders: Vec::new(), shared, pooled_as, sound: true }
    }

    /// That a folder cannot be opened means it is gone, as long as the mailbox itself is open to us.
    async fn folder_is_gone(&mut self) -> Result<(), ConnectorError> {
        if self.connection.is_of_another() {
            self.connection.open_inbox().await?;
        }
        Ok(())
    }

    /// Notes an error on its way out.
    fn checked<T>(&mut self, answer: Result<T, ConnectorError>) -> Result<T, ConnectorError> {
        self.shared.learn(&self.connection);
        if answer.is_err() {
            self.sound = false;
            if !self.connection.is_logged_in() {
                self.shared.forget();
            }
        }
        answer
    }

    async fn look(&mut self, search: &Search, max: usize) -> Result<Vec<Mail>, ConnectorError> {
        let query = query_of(search);
        let (listed, inbox) = match self.connection.folders_and_inbox(query).await {
            Err(ImapError::Refused { .. }) if self.connection.is_of_another() => {
                self.connection.open_inbox().await?;
                self.connection.folders_and_inbox(query).await?
            }
            other => other?,
        };
        self.learn_folders(&listed);
        let is_other = |folder: &&Listed| !folder.name.eq_ignore_ascii_case("INBOX") && folder.messages != Some(0);
        let others: Vec<String> = listed.iter().filter(is_other).map(|folder| folder.name.clone()).collect();
        let mut hits: Vec<Hits> = inbox.into_iter().collect();
        hits.extend(self.connection.search(&others, query).await?);
        if hits.iter().map(|hit| hit.uids.len()).sum::<usize>() > max {
            return Err(ConnectorError::refused(format!("more than {max} mails match in mailbox {}", self.name)));
        }
        let mut mails = Vec::new();
        let mut bytes = 0;
        for hit in hits {
            let folder = self.folder_named(&hit.folder);
            self.open_at(&folder, hit.uid_validity, true).await?;
            for uid in hit.uids {
                // gone between search and fetch: its owner removed it
                let Some(fetched) = self.connection.fetch(uid).await? else { continue };
                bytes += fetched.raw.len();
                if bytes > CANDIDATE_BYTES_MAX {
                    let limit = CANDIDATE_BYTES_MAX >> 20;
                    return Err(ConnectorError::refused(format!(
                        "the mails that match in mailbox {} are more than {limit} MiB",
                        self.name
                    )));
                }
                mails.push(mail(&folder, hit.uid_validity, fetched));
            }
        }
        Ok(mails)
    }

    fn learn_folders(&mut self, listed: &[Listed]) {
        self.folders = listed.iter().map(|one| folder_of(one, listed)).collect();
    }

    fn folder_named(&self, name: &str) -> Folder {
        let known = self.folders.iter().find(|folder| folder.id == name);
        known.cloned().unwrap_or_else(|| Folder { id: name.to_owned(), name: folder_for_people(name), role: None })
    }

    async fn find_folder(&mut self, role: FolderRole) -> Result<Folder, ConnectorError> {
        if self.folders.is_empty() {
            let listed = self.connection.folders().await?;
            self.learn_folders(&listed);
        }
        if let Some(folder) = self.folders.iter().find(|folder| folder.role == Some(role)) {
            return Ok(folder.clone());
        }
        let name = match role {
            FolderRole::Junk => "Junk",
            FolderRole::DeletedItems => "Trash",
            FolderRole::Sent => "Sent",
            other => {
                return Err(ConnectorError::Unable(Text::new(
                    format!("the mailbox has no folder for {other:?}"),
                    format!("メールボックスに {other:?} 用のフォルダーがありません"),
                )));
            }
        };
        self.connection.create(name).await?;
        let folder = Folder { id: name.to_owned(), name: name.to_owned(), role: Some(role) };
        self.folders.push(folder.clone());
        Ok(folder)
    }

    /// Opens a folder and checks that its UIDs still mean what they meant.
    async fn open_at(
        &mut self,
        folder: &Folder,
        uid_validity: u32,
        read_only: bool,
    ) -> Result<Selected, ConnectorError> {
        let selected = self.connection.select(&folder.id, read_only).await?;
        if selected.uid_validity != uid_validity {
            return Err(ConnectorError::Changed(format!("folder {} was renumbered meanwhile", folder.name)));
        }
        Ok(selected)
    }

    async fn there(&mut self, place: &Place) -> Result<bool, ConnectorError> {
        let (uid_validity, uid) = uid_of(&place.id)?;
        match self.connection.reselect(&place.folder.id, true).await {
            Ok(selected) if selected.uid_validity == uid_validity => Ok(self.connection.has_uid(uid).await?),
            Ok(_) => Ok(false),
            Err(ImapError::Refused { .. }) => self.folder_is_gone().await.map(|()| false),
            Err(error) => Err(error.into()),
        }
    }

    async fn transfer(&mut self, from: &Place, to: &Folder) -> Result<Option<Place>, ConnectorError> {
        let (uid_validity, uid) = uid_of(&from.id)?;
        let can_move = self.connection.has("MOVE");
        if self.connection.has("UIDPLUS") {
            self.open_at(&from.folder, uid_validity, false).await?;
            let moved = match can_move {
                true => self.connection.move_to(uid, &to.id).await?,
                false => self.connection.copy_to(uid, &to.id).await?,
            };
            let Some(moved) = moved else { return Ok(None) };
            if !can_move {
                self.connection.remove(uid).await?;
            }
            return Ok(Some(place(to, moved.uid_validity, moved.target_uid)));
        }
        // the server does not tell where the mail went: it is the one that came with these bytes
        let mark = self.marked(to).await?;
        self.open_at(&from.folder, uid_validity, false).await?;
        let Some(before) = self.connection.fetch(uid).await? else { return Ok(None) };
        if can_move {
            self.connection.move_to(uid, &to.id).await?;
        } else {
            self.connection.copy_to(uid, &to.id).await?;
            self.remove_alone(&from.folder, uid_validity, uid).await?;
        }
        let arrived = self.arrived(&mark, 200).await?;
        let there = arrived.into_iter().find(|mail| mail.raw == before.raw);
        there
            .map(|mail| Some(mail.place))
            .ok_or_else(|| ConnectorError::Changed(format!("UID {uid} is not in folder {} after the move", to.name)))
    }

    async fn removed(&mut self, place: &Place) -> Result<bool, ConnectorError> {
        let (uid_validity, uid) = uid_of(&place.id)?;
        if !self.connection.has("UIDPLUS") {
            return self.remove_alone(&place.folder, uid_validity, uid).await;
        }
        self.open_at(&place.folder, uid_validity, false).await?;
        Ok(self.connection.remove(uid).await?)
    }

    /// Removes one mail where the server can only remove all marked ones: when no other is marked.
    async fn remove_alone(&mut self, folder: &Folder, uid_validity: u32, uid: u32) -> Result<bool, ConnectorError> {
        self.open_at(folder, uid_validity, false).await?;
        if !self.connection.has_uid(uid).await? {
            return Ok(false);
        }
        self.connection.mark_deleted(uid, true).await?;
        let marked = self.connection.uids_deleted().await?;
        if marked.iter().any(|other| *other != uid) {
            self.connection.mark_deleted(uid, false).await?;
            let others = marked.len() - 1;
            return Err(ConnectorError::Unable(Text::new(
                format!(
                    "without UIDPLUS all mails marked as deleted go together, and in {} {others} other(s) are marked",
                    folder.name
                ),
                format!(
                    "UIDPLUS がないため、削除マークの付いたメールはまとめて消えます。{} には他に {others} 通あります",
                    folder.name
                ),
            )));
        }
        self.connection.expunge_marked().await?;
        if self.connection.has_uid(uid).await? {
            return Err(ImapError::StillThere(uid).into());
        }
        Ok(true)
    }

    async fn marked(&mut self, folder: &Folder) -> Result<Mark, ConnectorError> {
        let selected = match self.connection.reselect(&folder.id, false).await {
            Err(ImapError::Refused { .. }) => {
                self.connection.create(&folder.id).await?;
                self.connection.reselect(&folder.id, false).await?
            }
            other => other?,
        };
        let next = MailId::Uid { uid_validity: selected.uid_validity, uid: selected.uid_next };
        Ok(Mark { folder: folder.clone(), next })
    }

    async fn arrived(&mut self, mark: &Mark, max: usize) -> Result<Vec<Mail>, ConnectorError> {
        let (uid_validity, uid_next) = uid_of(&mark.next)?;
        let selected = match self.connection.reselect(&mark.folder.id, true).await {
            Err(ImapError::Refused { .. }) => return self.folder_is_gone().await.map(|()| Vec::new()),
            other => other?,
        };
        if selected.uid_validity != uid_validity {
            return Err(ConnectorError::refused(format!("folder {} was renumbered since", mark.folder.name)));
        }
        let uids = self.connection.uids_from(uid_next).await?;
        if uids.len() > max {
            return Err(ConnectorError::refused(format!("more than {max} new mails in {}", mark.folder.name)));
        }
        let mut mails = Vec::new();
        for uid in uids {
            if let Some(fetched) = self.connection.fetch(uid).await? {
                mails.push(mail(&mark.folder, uid_validity, fetched));
            }
        }
        Ok(mails)
    }

    async fn stored(&mut self, mark: &Mark, new: &NewMail) -> Result<Mail, ConnectorError> {
        let (uid_validity, _) = uid_of(&mark.next)?;
        let folder = &mark.folder;
        let appended = self.connection.append(&folder.id, &new.flags, &new.internal_date, &new.raw).await?;
        let (validity, uid) = match appended {
            Some(told) => told,
            // no UIDPLUS: the proof is to find it
            None => {
                let arrived = self.arrived(mark, 1_000).await?;
                return arrived.into_iter().rev().find(|mail| mail.raw == new.raw).ok_or_else(|| {
                    ConnectorError::Changed(format!("the stored mail is not in folder {}", folder.name))
                });
            }
        };
        if validity != uid_validity {
            return Err(ConnectorError::Changed(format!("folder {} was renumbered meanwhile", folder.name)));
        }
        self.connection.select(&folder.id, true).await?;
        if let Some(fetched) = self.connection.fetch(uid).await? {
            return Ok(mail(folder, uid_validity, fetched));
        }
        // a server may show what came only to those who open the folder anew
        self.connection.reselect(&folder.id, true).await?;
        let fetched = self.connection.fetch(uid).await?;
        let fetched = fetched.ok_or_else(|| {
            ConnectorError::Changed(format!("UID {uid} is not in folder {} after it was stored", folder.name))
        })?;
        Ok(mail(folder, uid_validity, fetched))
    }
}

impl Mailbox for ImapMailbox {
    fn abilities(&self) -> Abilities {
        let mut missing = Vec::new();
        let mut lacks = |capability: &str, en: &str, ja: &str| {
            if !self.connection.has(capability) {
                missing.push(Text::new(format!("no {capability}: {en}"), format!("{capability} なし: {ja}")));
            }
        };
        lacks(
            "UIDPLUS",
            "the server does not tell new UIDs, so they are looked for; a mail is removed only from folders where no other is marked as deleted",
            "新しい UID が通知されないため探して確認します。他に削除マークの付いたメールがあるフォルダーからは取り除けません",
        );
        lacks("MOVE", "mails are copied and then removed", "移動はコピーと削除で行います");
        lacks("LITERAL+", "storing takes one more round trip", "保存に 1 往復多くかかります");
        lacks(
            "SPECIAL-USE",
            "junk, deleted and sent items are recognised by their usual names",
            "迷惑メール・削除済み・送信済みのフォルダーは一般的な名前で見分けます",
        );
        lacks("LIST-STATUS", "empty folders are searched too", "空のフォルダーも検索します");
        if self.connection.is_of_another() {
            missing.push(Text::new(
                "shared prefix: junk, deleted and sent items are recognised by their usual names",
                "共有プレフィックス: 迷惑メール・削除済み・送信済みのフォルダーは一般的な名前で見分けます",
            ));
            if self.connection.has("ACL") {
                missing.push(Text::new(
                    "ACL: folders whose access rules leave this user out are not seen",
                    "ACL: このユーザーに権限のないフォルダーは見えません",
                ));
            }
        }
        Abilities { puts: true, hides: false, missing }
    }

    fn candidates<'a>(&'a mut self, search: &'a Search, max: usize) -> Answer<'a, Vec<Mail>> {
        Box::pin(async move {
            let answer = self.look(search, max).await;
            self.checked(answer)
        })
    }

    fn is_at<'a>(&'a mut self, place: &'a Place) -> Answer<'a, bool> {
        Box::pin(async move {
            let answer = self.there(place).await;
            self.checked(answer)
        })
    }

    fn folder<'a>(&'a mut self, role: FolderRole) -> Answer<'a, Folder> {
        Box::pin(async move {
            let answer = self.find_folder(role).await;
            self.checked(answer)
        })
    }

    fn relocate<'a>(&'a mut self, from: &'a Place, to: &'a Folder) -> Answer<'a, Option<Place>> {
        Box::pin(async move {
            let answer = self.transfer(from, to).await;
            self.checked(answer)
        })
    }

    fn destroy<'a>(&'a mut self, place: &'a Place) -> Answer<'a, bool> {
        Box::pin(async move {
            let answer = self.removed(place).await;
            self.checked(answer)
        })
    }

    fn mark<'a>(&'a mut self, folder: &'a Folder) -> Answer<'a, Mark> {
        Box::pin(async move {
            let answer = self.marked(folder).await;
            self.checked(answer)
        })
    }

    fn put<'a>(&'a mut self, mark: &'a Mark, mail: &'a NewMail) -> Answer<'a, Mail> {
        Box::pin(async move {
            let answer = self.stored(mark, mail).await;
            self.checked(answer)
        })
    }

    fn since<'a>(&'a mut self, mark: &'a Mark, max: usize) -> Answer<'a, Vec<Mail>> {
        Box::pin(async move {
            let answer = self.arrived(mark, max).await;
            self.checked(answer)
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let ImapMailbox { pooled_as, connection, shared, sound, .. } = *self;
            if !sound || !connection.is_logged_in() || connection.entered() >= ENTERED_MAX {
                return connection.logout().await;
            }
            let leaves = shared.pool.keep(pooled_as, connection);
            if let Some(leaves) = leaves {
                return leaves.logout().await;
            }
            // filled for the first time: somebody has to let go of it when nothing follows
            tokio::spawn(async move {
                tokio::time::sleep(Pool::kept_for() + std::time::Duration::from_secs(1)).await;
                for connection in shared.pool.expired() {
                    connection.logout().await;
                }
            });
        })
    }
}

fn query_of(search: &Search) -> Query<'_> {
    match search {
        Search::MessageId(id) => Query::Header("Message-ID", id),
        Search::OwnId(id) => Query::Header(OWN_ID_HEADER, id),
        Search::Body(text) => Query::Body(text),
    }
}

/// What a folder of a list is.
pub(super) fn folder_of(listed: &Listed, all: &[Listed]) -> Folder {
    let name = folder_for_people(&listed.name);
    let named = |role: FolderRole, names: &[&str], attribute: &str| {
        let told = all.iter().any(|other| other.special_use == Some(attribute));
        let lower = name.to_lowercase();
        let leaf = lower.rsplit(['/', '.']).next().unwrap_or(&lower);
        (!told && names.contains(&leaf)).then_some(role)
    };
    let role = match listed.special_use {
        _ if listed.name.eq_ignore_ascii_case("INBOX") => Some(FolderRole::Inbox),
        Some("\\Junk") => Some(FolderRole::Junk),
        Some("\\Trash") => Some(FolderRole::DeletedItems),
        Some("\\Sent") => Some(FolderRole::Sent),
        Some("\\Drafts") => Some(FolderRole::Drafts),
        Some("\\Archive") => Some(FolderRole::Archive),
        Some(_) => None,
        None => named(FolderRole::Junk, JUNK_NAMES, "\\Junk")
            .or_else(|| named(FolderRole::DeletedItems, DELETED_NAMES, "\\Trash"))
            .or_else(|| named(FolderRole::Sent, SENT_NAMES, "\\Sent")),
    };
    Folder { id: listed.name.clone(), name, role }
}

fn place(folder: &Folder, uid_validity: u32, uid: u32) -> Place {
    Place { folder: folder.clone(), id: MailId::Uid { uid_validity, uid } }
}

fn mail(folder: &Folder, uid_validity: u32, fetched: Fetched) -> Mail {
    let Fetched { uid, flags, internal_date, raw } = fetched;
    Mail { place: place(folder, uid_validity, uid), flags, internal_date, raw }
}

fn uid_of(id: &MailId) -> Result<(u32, u32), ConnectorError> {
    match id {
        MailId::Uid { uid_validity, uid } => Ok((*uid_validity, *uid)),
        other => Err(ConnectorError::refused(format!("{other:?} is no id of an IMAP server"))),
    }
}
