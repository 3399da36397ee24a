//! Messages: one row per message and recipient, with the files and URLs they carry.

use crate::db::{
    Arg, Db, Document, Filter, Key, Listed, Listing, Page, Sql, document, list, put_document, read_document,
    search_text, update_document,
};
use crate::error::{Result, StoreError};
use hinomi_model::{DeliveryLocation, MessageCopy, MessageId, Timestamp, Verdict};
use std::collections::BTreeSet;

/// Longest recipient, bytes: an address has at most 254.
const RECIPIENT_BYTES_MAX: usize = 1000;
/// Most copies returned of one message.
const COPIES_MAX: i64 = 100_000;
/// Rows per statement.
const CHUNK: usize = 100;

/// Which message copies to list; empty means all.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Of this message.
    pub message: Option<MessageId>,
    /// Address in From or envelope, whole.
    pub sender: Option<String>,
    /// Recipient, whole.
    pub recipient: Option<String>,
    /// Text in subject, addresses, sender name or attachment names.
    pub text: Option<String>,
    /// Carries this file, also inside an archive.
    pub sha256: Option<String>,
    /// Carries this normalised URL.
    pub url: Option<String>,
    /// Message-ID header.
    pub internet_message_id: Option<String>,
    /// Where it is now: one of these.
    pub location: Vec<DeliveryLocation>,
    /// One of these.
    pub verdict: Vec<Verdict>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

reads! {
    /// Returns one copy of a message.
    fn message(id: MessageId, recipient: &str) -> Option<MessageCopy>;
    /// Returns every copy of a message, in order of the recipients.
    fn message_copies(id: MessageId) -> Vec<MessageCopy>;
    /// Lists message copies, newest first.
    fn messages(filter: &MessageFilter, page: &Page) -> Listed<MessageCopy>;
}

writes! {
    /// Inserts or replaces a copy of a message; returns the version now stored.
    fn put_message(copy: &MessageCopy) -> i64;
    /// Replaces a copy at the expected version; returns it with its new version.
    fn update_message(copy: &MessageCopy, expected: i64) -> MessageCopy;
}

impl Document for MessageCopy {
    const WHAT: &'static str = "message";
    const TABLE: &'static str = "messages";
    const KEY: &'static [&'static str] = &["message_id", "recipient"];

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        let search = [
            self.subject.as_str(),
            &self.sender_from,
            &self.sender_mail_from,
            &self.sender_display_name,
            &self.recipient,
            &self.sender_ip,
        ];
        let search = search.into_iter().chain(self.attachments.iter().map(|file| file.name.as_str()));
        vec![
            ("message_id", Arg::id(self.message_id)),
            ("recipient", self.recipient.as_str().into()),
            ("internet_message_id", Arg::indexed(&self.internet_message_id)),
            ("sender_from", Arg::indexed(&self.sender_from.to_lowercase())),
            ("sender_mail_from", Arg::indexed(&self.sender_mail_from.to_lowercase())),
            ("received_at", self.received_at.into()),
            ("latest_location", Arg::word(self.latest_location)),
            ("verdict", Arg::word(self.verdict)),
            ("search", search_text(search)),
        ]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

async fn message(db: &mut Db<'_>, id: MessageId, recipient: &str) -> Result<Option<MessageCopy>> {
    document(db, vec![Arg::id(id), recipient.into()]).await
}

async fn message_copies(db: &mut Db<'_>, id: MessageId) -> Result<Vec<MessageCopy>> {
    let rows = Sql::new("SELECT doc, version FROM messages WHERE message_id = $1 ORDER BY recipient LIMIT $2")
        .bind(Arg::id(id))
        .bind(COPIES_MAX)
        .rows(db)
        .await?;
    rows.iter().map(read_document).collect()
}

async fn messages(db: &mut Db<'_>, wanted: &MessageFilter, page: &Page) -> Result<Listed<MessageCopy>> {
    const LISTING: Listing = Listing {
        select: "doc, version",
        from: "messages",
        order: &[Key::Int("received_at"), Key::Text("message_id"), Key::Text("recipient")],
        descending: true,
    };
    let mut filter = Filter::new();
    filter
        .id("message_id", wanted.message)
        .eq("recipient", wanted.recipient.as_deref().map(str::to_lowercase))
        .eq("internet_message_id", wanted.internet_message_id.as_deref().map(Arg::indexed))
        .words("latest_location", &wanted.location)
        .words("verdict", &wanted.verdict)
        .between("received_at", wanted.since, wanted.until)
        .text("search", wanted.text.as_deref());
    if let Some(sender) = &wanted.sender {
        let sender = Arg::indexed(&sender.to_lowercase());
        filter.and("(sender_from = ").arg(sender.clone()).push(" OR sender_mail_from = ").arg(sender).push(")");
    }
    if let Some(sha256) = &wanted.sha256 {
        filter
            .and("message_id IN (SELECT message_id FROM message_files WHERE sha256 = ")
            .arg(sha256.to_lowercase())
            .push(")");
    }
    if let Some(url) = &wanted.url {
        filter.and("message_id IN (SELECT message_id FROM message_urls WHERE url = ").arg(Arg::indexed(url)).push(")");
    }
    list(db, &LISTING, &filter, page, read_document).await
}

async fn put_message(db: &mut Db<'_>, copy: &MessageCopy) -> Result<i64> {
    if copy.recipient.len() > RECIPIENT_BYTES_MAX {
        let reason = format!("its recipient is longer than {RECIPIENT_BYTES_MAX} bytes");
        return Err(StoreError::Invalid { what: "message", reason });
    }
    let version = put_document(db, copy).await?;
    // every copy carries the same: written with the first one
    let files: BTreeSet<String> =
        copy.attachments.iter().map(|file| crate::db::indexed(&file.sha256.to_lowercase())).collect();
    let urls: BTreeSet<String> = copy.urls.iter().map(|url| crate::db::indexed(url)).collect();
    carry(db, "message_files", "sha256", copy.message_id, files).await?;
    carry(db, "message_urls", "url", copy.message_id, urls).await?;
    Ok(version)
}

async fn carry(
    db: &mut Db<'_>,
    table: &'static str,
    column: &'static str,
    message: MessageId,
    values: BTreeSet<String>,
) -> Result<()> {
    let values: Vec<String> = values.into_iter().collect();
    for chunk in values.chunks(CHUNK) {
        let mut sql = Sql::new("INSERT INTO ");
        sql.push(table).push(" (").push(column).push(", message_id) VALUES ");
        for (at, value) in chunk.iter().enumerate() {
            sql.push(if at == 0 { "" } else { ", " }).args([Arg::from(value), Arg::id(message)]);
        }
        sql.push(" ON CONFLICT DO NOTHING");
        sql.run(db).await?;
    }
    Ok(())
}

async fn update_message(db: &mut Db<'_>, copy: &MessageCopy, expected: i64) -> Result<MessageCopy> {
    update_document(db, copy, expected).await
}
