//! The commands: folders, searching, reading, flags, moving, removing, storing.

use super::answer::{SelectedParts, copy_uid, fetched, is_fetch_of, listed, single};
use super::command::{flag_list, is_quotable, quote, search_command};
use super::connection::{Connection, Opened};
use super::model::{CopyUid, Fetched, Hits, Listed, Query, Selected};
use super::root::Root;
use super::{ImapError, Limits};
use imap_proto::{MailboxDatum, Response, ResponseCode, Status};

/// Folders searched with one write: more could fill the server's answers before we read them.
const FOLDERS_TOGETHER_MAX: usize = 32;

impl Connection {
    /// Lists the folders that can be opened, with the number of their mails when the server tells it
    /// along, and searches the inbox in the same round trip.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn folders_and_inbox(&mut self, query: Query<'_>) -> Result<(Vec<Listed>, Option<Hits>), ImapError> {
        let search = search_command(query, self.has("LITERAL+"))?;
        // in this order: Dovecot knows the mailbox of another user only once a folder of it was asked
        // for, and 2.3.19 stops answering when a LIST comes while a SEARCH runs
        let open = self.queue("EXAMINE", &format!("EXAMINE {}", self.quoted("INBOX")?));
        let list = self.queue("LIST", &self.list_command());
        let find = self.queue("SEARCH", &search);
        let mut parts = SelectedParts::default();
        let opened = self.finish(&open, |answer| parts.take(answer)).await;
        let mut folders = Vec::new();
        let told = self.finish(&list, |answer| listed(answer, &mut folders)).await;
        let hits = self.searched("INBOX", opened.map(|_| parts), &find).await?;
        told?;
        Ok((self.own(folders), hits))
    }

    /// Lists the folders that can be opened.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn folders(&mut self) -> Result<Vec<Listed>, ImapError> {
        if self.root.is_some() {
            self.open_inbox().await?;
        }
        let mut folders = Vec::new();
        let command = self.list_command();
        self.run("LIST", &command, |answer| listed(answer, &mut folders)).await?;
        Ok(self.own(folders))
    }

    /// Opens the inbox of a mailbox below a shared prefix, made when its owner was never there: a login of
    /// the owner makes it too. Whoever the server does not know gets none.
    ///
    /// # Errors
    /// When there is no such mailbox, it is not open to us, or the server breaks off.
    pub async fn open_inbox(&mut self) -> Result<Selected, ImapError> {
        match self.reselect("INBOX", true).await {
            Err(ImapError::Refused { .. }) => {
                self.create("INBOX").await?;
                self.reselect("INBOX", true).await
            }
            other => other,
        }
    }

    fn list_command(&self) -> String {
        let extended = self.has("LIST-EXTENDED");
        let told = match (extended, self.has("LIST-STATUS"), self.has("SPECIAL-USE")) {
            (true, true, true) => " RETURN (SPECIAL-USE STATUS (MESSAGES))",
            (true, true, false) => " RETURN (STATUS (MESSAGES))",
            (true, false, true) => " RETURN (SPECIAL-USE)",
            _ => "",
        };
        let pattern = match self.root.as_ref().map(Root::patterns) {
            None => "\"*\"".to_owned(),
            Some([inbox, others]) if extended => format!("(\"{inbox}\" \"{others}\")"),
            // what is too much is left out by its name
            Some([inbox, _]) => format!("\"{inbox}*\""),
        };
        format!("LIST \"\" {pattern}{told}")
    }

    /// The folders of the mailbox that is worked on, by the names their owner sees.
    fn own(&self, mut folders: Vec<Listed>) -> Vec<Listed> {
        let Some(root) = &self.root else { return folders };
        folders.retain_mut(|folder| match root.inside(&folder.name).map(str::to_owned) {
            Some(name) => {
                folder.name = name;
                true
            }
            None => false,
        });
        folders
    }

    /// The name of a folder as it goes into a command.
    fn quoted(&self, folder: &str) -> Result<String, ImapError> {
        match &self.root {
            Some(root) => quote(&root.outside(folder)),
            None => quote(folder),
        }
    }

    /// Opens a folder, for changes unless `read_only`; one that is open that way already stays so.
    ///
    /// # Errors
    /// When it does not exist or the server breaks off.
    pub async fn select(&mut self, folder: &str, read_only: bool) -> Result<Selected, ImapError> {
        if let Some(open) = &self.selected
            && open.folder == folder
            && (read_only || !open.read_only)
        {
            return Ok(open.state);
        }
        self.reselect(folder, read_only).await
    }

    /// Opens a folder even when it is open already: its state is fresh then.
    ///
    /// # Errors
    /// When it does not exist or the server breaks off.
    pub async fn reselect(&mut self, folder: &str, read_only: bool) -> Result<Selected, ImapError> {
        self.selected = None;
        let verb = if read_only { "EXAMINE" } else { "SELECT" };
        let mut parts = SelectedParts::default();
        let command = format!("{verb} {}", self.quoted(folder)?);
        self.run("SELECT", &command, |answer| parts.take(answer)).await?;
        let state = parts.finish()?;
        self.selected = Some(Opened { folder: folder.to_owned(), read_only, state });
        Ok(state)
    }

    /// Looks for mails in several folders, many in one round trip. Folders that cannot be opened are
    /// left out. The comparison is the server's: a substring, so hits are candidates.
    ///
    /// # Errors
    /// When the text cannot be sent or the server breaks off.
    pub async fn search(&mut self, folders: &[String], query: Query<'_>) -> Result<Vec<Hits>, ImapError> {
        let command = search_command(query, self.has("LITERAL+"))?;
        let usable: Vec<&String> = folders.iter().filter(|folder| is_quotable(folder)).collect();
        let mut hits = Vec::new();
        for some in usable.chunks(FOLDERS_TOGETHER_MAX) {
            let mut tags = Vec::with_capacity(some.len());
            for folder in some {
                let open = self.queue("EXAMINE", &format!("EXAMINE {}", self.quoted(folder)?));
                tags.push((folder, open, self.queue("SEARCH", &command)));
            }
            for (folder, open, find) in tags {
                let mut parts = SelectedParts::default();
                let opened = self.finish(&open, |answer| parts.take(answer)).await;
                hits.extend(self.searched(folder, opened.map(|_| parts), &find).await?);
            }
        }
        Ok(hits)
    }

    /// Reads the answer to the SEARCH behind an EXAMINE.
    async fn searched(
        &mut self,
        folder: &str,
        opened: Result<SelectedParts, ImapError>,
        find: &super::connection::Tag,
    ) -> Result<Option<Hits>, ImapError> {
        self.selected = None;
        let mut uids = Vec::new();
        let searched = self.finish(find, |answer| {
            if let Response::MailboxData(MailboxDatum::Search(found)) = answer {
                uids.extend_from_slice(found);
            }
        });
        match (opened, searched.await) {
            (Ok(parts), Ok(_)) => {
                let state = parts.finish()?;
                self.selected = Some(Opened { folder: folder.to_owned(), read_only: true, state });
                uids.sort_unstable();
                uids.dedup();
                let hits = Hits { folder: folder.to_owned(), uid_validity: state.uid_validity, uids };
                Ok((!hits.uids.is_empty()).then_some(hits))
            }
            // somebody else's mailbox: it is not there or not open to us, so nobody has looked
            (Err(error @ ImapError::Refused { .. }), _) if self.root.is_some() && folder == "INBOX" => Err(error),
            // no such folder, or not ours to read: the search behind it had nothing to search in
            (Err(ImapError::Refused { .. }), Ok(_) | Err(ImapError::Refused { .. })) => Ok(None),
            (Ok(_), Err(error)) | (Err(error), _) => Err(error),
        }
    }

    /// Reads a mail of the open folder without marking it read; `None` when the UID is not there.
    ///
    /// # Errors
    /// When the server breaks off or the mail is beyond a limit.
    pub async fn fetch(&mut self, uid: u32) -> Result<Option<Fetched>, ImapError> {
        let tag = self.queue("FETCH", &format!("UID FETCH {uid} (UID FLAGS INTERNALDATE BODY.PEEK[])"));
        let mut found = None;
        let Limits { transfer_timeout, .. } = self.server.limits;
        self.finish_within(&tag, transfer_timeout, |answer| {
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

    /// Returns the UIDs of the open folder from `first` on, ascending.
    ///
    /// # Errors
    /// When the server breaks off.
    pub async fn uids_from(&mut self, first: u32) -> Result<Vec<u32>, ImapError> {
        let first = first.max(1);
        let mut uids = self.uids(&format!("UID SEARCH UID {first}:*")).await?;
        // `n:*` names the last mail even when its UID is smaller
        uids.retain(|uid| *uid >= first);
        Ok(uids)
    }

    /// Returns the UIDs of the open folder that are marked as deleted.
    ///
    /// # Errors
    /// When the server breaks off.
    pub async fn uids_deleted(&mut self) -> Result<Vec<u32>, ImapError> {
        self.uids("UID SEARCH DELETED").await
    }

    async fn uids(&mut self, command: &str) -> Result<Vec<u32>, ImapError> {
        let mut uids = Vec::new();
        self.run("SEARCH", command, |answer| {
            if let Response::MailboxData(MailboxDatum::Search(found)) = answer {
                uids.extend_from_slice(found);
            }
        })
        .await?;
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// Adds (or takes away) the deletion mark of a mail of the open folder.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn mark_deleted(&mut self, uid: u32, deleted: bool) -> Result<(), ImapError> {
        let sign = if deleted { '+' } else { '-' };
        self.run("STORE", &format!("UID STORE {uid} {sign}FLAGS.SILENT (\\Deleted)"), |_| {}).await.map(drop)
    }

    /// Sets exactly these flags on a mail of the open folder.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn set_flags(&mut self, uid: u32, flags: &[String]) -> Result<(), ImapError> {
        self.run("STORE", &format!("UID STORE {uid} FLAGS.SILENT {}", flag_list(flags)?), |_| {}).await.map(drop)
    }

    /// Removes one mail, and only that one, from the open folder: looks whether it is there, marks
    /// it, expunges it and looks again, in one round trip. Returns whether it was there.
    ///
    /// # Errors
    /// When the server lacks UIDPLUS, refuses, breaks off, or the mail is still there afterwards.
    pub async fn remove(&mut self, uid: u32) -> Result<bool, ImapError> {
        if !self.has("UIDPLUS") {
            return Err(ImapError::Unsupported("UIDPLUS: removing single mails"));
        }
        let look = format!("UID FETCH {uid} (UID)");
        let before = self.queue("FETCH", &look);
        let mark = self.queue("STORE", &format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
        let expunge = self.queue("EXPUNGE", &format!("UID EXPUNGE {uid}"));
        let after = self.queue("FETCH", &look);
        let (mut was_there, mut is_there) = (false, false);
        let outcomes = [
            self.finish(&before, |answer| was_there |= is_fetch_of(answer, uid)).await,
            self.finish(&mark, |_| {}).await,
            self.finish(&expunge, |_| {}).await,
            self.finish(&after, |answer| is_there |= is_fetch_of(answer, uid)).await,
        ];
        for outcome in outcomes {
            outcome?;
        }
        if is_there {
            return Err(ImapError::StillThere(uid));
        }
        Ok(was_there)
    }

    /// Removes every mail marked as deleted from the open folder: for servers without UIDPLUS.
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn expunge_marked(&mut self) -> Result<(), ImapError> {
        self.run("EXPUNGE", "EXPUNGE", |_| {}).await.map(drop)
    }

    /// Moves (MOVE, RFC 6851) a mail of the open folder. `None` when the server says OK without
    /// saying what it moved: nothing was there, or it lacks UIDPLUS.
    ///
    /// # Errors
    /// When the server lacks MOVE, refuses or breaks off.
    pub async fn move_to(&mut self, uid: u32, folder: &str) -> Result<Option<CopyUid>, ImapError> {
        if !self.has("MOVE") {
            return Err(ImapError::Unsupported("MOVE"));
        }
        self.transfer("MOVE", uid, folder).await
    }

    /// Copies a mail of the open folder. `None` as in [`Connection::move_to`].
    ///
    /// # Errors
    /// When the server refuses or breaks off.
    pub async fn copy_to(&mut self, uid: u32, folder: &str) -> Result<Option<CopyUid>, ImapError> {
        self.transfer("COPY", uid, folder).await
    }

    async fn transfer(&mut self, verb: &'static str, uid: u32, folder: &str) -> Result<Option<CopyUid>, ImapError> {
        let mut code = None;
        let done = self
            .run(verb, &format!("UID {verb} {uid} {}", self.quoted(folder)?), |answer| {
                if let Response::Data { status: Status::Ok, outcome } = answer
                    && let Some(found) = copy_uid(outcome.code.as_ref())
                {
                    code = Some(found);
                }
            })
            .await?;
        // a server that tells about another mail than ours has not told about ours
        Ok(code.or_else(|| copy_uid(done.code.as_ref())).filter(|code| code.source_uid == uid))
    }

    /// Makes a folder; one that exists is fine.
    ///
    /// # Errors
    /// When the server refuses for another reason or breaks off.
    pub async fn create(&mut self, folder: &str) -> Result<(), ImapError> {
        match self.run("CREATE", &format!("CREATE {}", self.quoted(folder)?), |_| {}).await {
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
        let unasked = self.has("LITERAL+");
        let plus = if unasked { "+" } else { "" };
        let (folder, flags, date) = (self.quoted(folder)?, flag_list(flags)?, quote(internal_date)?);
        let tag = self.queue("APPEND", &format!("APPEND {folder} {flags} {date} {{{}{plus}}}", raw.len()));
        if !unasked {
            self.wait_continue(&tag).await?;
        }
        self.queue_bytes(raw);
        self.queue_bytes(b"\r\n");
        let Limits { transfer_timeout, .. } = self.server.limits;
        let done = self.finish_within(&tag, transfer_timeout, |_| {}).await?;
        Ok(match &done.code {
            Some(ResponseCode::AppendUid(validity, uids)) => single(uids).map(|uid| (*validity, uid)),
            _ => None,
        })
    }
}
