//! The crawl: how far the folders of the mailboxes were read, and which message each mail is.

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::{DeliveryLocation, MessageId, Timestamp};
use sqlx::any::AnyRow;

/// Rows per statement.
const CHUNK: usize = 100;
/// Most mailboxes listed.
const LISTED_MAX: i64 = 10_000;

/// How far a folder was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrawlFolder {
    /// Mailbox.
    pub mailbox: String,
    /// Name or id the mail system knows it by.
    pub folder: String,
    /// Name as people read it.
    pub name: String,
    /// Where mails of it are.
    pub location: DeliveryLocation,
    /// How far it was read, in words of the mail system's connector; none = not at all.
    pub cursor: Option<String>,
    /// When it was looked at last.
    pub seen_at: Timestamp,
}

impl CrawlFolder {
    /// Number of the folder, the same for the same names.
    fn id(&self) -> i64 {
        folder_id(&self.mailbox, &self.folder)
    }
}

/// State of a mailbox's crawl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrawlMailbox {
    /// Mailbox.
    pub mailbox: String,
    /// `waiting`, `running`, `done` or `failed`.
    pub state: String,
    /// Mails read since the beginning.
    pub mails: i64,
    /// Mails left out since the beginning: too big or not readable.
    pub skipped: i64,
    /// When the last pass began.
    pub started_at: Timestamp,
    /// When the last pass ended.
    pub finished_at: Option<Timestamp>,
    /// When the next pass is due.
    pub next_at: Timestamp,
    /// Why the last pass failed.
    pub error: Option<String>,
}

/// A copy whose mail is gone from a folder, and where else it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GonePlace {
    /// Message.
    pub message_id: MessageId,
    /// Recipient.
    pub recipient: String,
    /// Another place it was seen at: location and folder as people read it.
    pub elsewhere: Option<(DeliveryLocation, String)>,
}

reads! {
    /// Returns how far a folder was read.
    fn crawl_folder(mailbox: &str, folder: &str) -> Option<CrawlFolder>;
    /// Returns the names of the folders of a mailbox that were read.
    fn crawl_folder_names(mailbox: &str) -> Vec<String>;
    /// Returns the mails known in a folder, by the mail system's ids, sorted.
    fn crawl_places(mailbox: &str, folder: &str) -> Vec<String>;
    /// Returns the states of all mailboxes, at most 10,000, in order of their names.
    fn crawl_mailboxes() -> Vec<CrawlMailbox>;
    /// Returns one mailbox.
    fn crawl_mailbox(mailbox: &str) -> Option<CrawlMailbox>;
}

writes! {
    /// Stores how far a folder was read.
    fn put_crawl_folder(folder: &CrawlFolder) -> ();
    /// Notes which messages the mails of a folder are: the mail system's id, message, recipient. Messages
    /// that are not known are left out.
    fn add_crawl_places(mailbox: &str, folder: &str, places: &[(String, MessageId, String)]) -> ();
    /// Forgets mails of a folder and tells which copies they were.
    fn remove_crawl_places(mailbox: &str, folder: &str, mails: &[String]) -> Vec<GonePlace>;
    /// Stores the state of a mailbox.
    fn put_crawl_mailbox(mailbox: &CrawlMailbox) -> ();
}

fn folder_id(mailbox: &str, folder: &str) -> i64 {
    crate::messages::term("folder", &format!("{mailbox}\0{folder}"))
}

async fn crawl_folder(db: &mut Db<'_>, mailbox: &str, folder: &str) -> Result<Option<CrawlFolder>> {
    let mut sql = Sql::new("SELECT mailbox, folder, name, location, cursor, seen_at FROM mail_folders ");
    sql.push("WHERE id = ").arg(folder_id(mailbox, folder));
    let Some(row) = sql.row(db).await? else { return Ok(None) };
    Ok(Some(CrawlFolder {
        mailbox: row.text("mailbox")?,
        folder: row.text("folder")?,
        name: row.text("name")?,
        location: row.text("location")?.parse().map_err(|error| StoreError::damaged("location", error))?,
        cursor: row.text_or_null("cursor")?,
        seen_at: row.time("seen_at")?,
    }))
}

async fn crawl_folder_names(db: &mut Db<'_>, mailbox: &str) -> Result<Vec<String>> {
    let sql = Sql::new("SELECT folder FROM mail_folders WHERE mailbox = $1 ORDER BY folder").bind(mailbox);
    sql.rows(db).await?.iter().map(|row| row.text("folder")).collect()
}

async fn put_crawl_folder(db: &mut Db<'_>, folder: &CrawlFolder) -> Result<()> {
    let mut sql = Sql::new("INSERT INTO mail_folders (id, mailbox, folder, name, location, cursor, seen_at) VALUES ");
    sql.args([
        Arg::from(folder.id()),
        Arg::from(&folder.mailbox),
        Arg::from(&folder.folder),
        Arg::from(&folder.name),
        Arg::word(folder.location),
        Arg::from(folder.cursor.clone()),
        Arg::from(folder.seen_at),
    ]);
    sql.push(
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, location = excluded.location, \
         cursor = excluded.cursor, seen_at = excluded.seen_at",
    );
    sql.run(db).await?;
    Ok(())
}

async fn add_crawl_places(
    db: &mut Db<'_>,
    mailbox: &str,
    folder: &str,
    places: &[(String, MessageId, String)],
) -> Result<()> {
    let id = folder_id(mailbox, folder);
    for (mail, message, recipient) in places {
        let mut sql = Sql::new("INSERT INTO mail_places (folder_id, mail, n, recipient) SELECT CAST(");
        sql.arg(id).push(" AS BIGINT), CAST(").arg(mail).push(" AS TEXT), n, CAST(").arg(recipient);
        sql.push(" AS TEXT) FROM mail_messages WHERE message_id = ").arg(message.to_string());
        sql.push(" ON CONFLICT (folder_id, mail) DO NOTHING");
        sql.run(db).await?;
    }
    Ok(())
}

async fn crawl_places(db: &mut Db<'_>, mailbox: &str, folder: &str) -> Result<Vec<String>> {
    let sql =
        Sql::new("SELECT mail FROM mail_places WHERE folder_id = $1 ORDER BY mail").bind(folder_id(mailbox, folder));
    sql.rows(db).await?.iter().map(|row| row.text("mail")).collect()
}

async fn remove_crawl_places(db: &mut Db<'_>, mailbox: &str, folder: &str, mails: &[String]) -> Result<Vec<GonePlace>> {
    let id = folder_id(mailbox, folder);
    let mut gone = Vec::new();
    for chunk in mails.chunks(CHUNK) {
        let mut sql = Sql::new("DELETE FROM mail_places WHERE folder_id = ");
        sql.arg(id).push(" AND mail IN ").args(chunk.iter().map(String::as_str)).push(" RETURNING n, recipient");
        for row in sql.rows(db).await? {
            let (n, recipient) = (row.int("n")?, row.text("recipient")?);
            let mut sql = Sql::new("SELECT message_id FROM mail_messages WHERE n = ");
            sql.arg(n);
            let Some(message) = sql.row(db).await? else { continue };
            let mut sql = Sql::new("SELECT f.location, f.name FROM mail_places p JOIN mail_folders f ");
            sql.push("ON f.id = p.folder_id WHERE p.n = ").arg(n).push(" AND p.recipient = ").arg(&*recipient);
            sql.push(" ORDER BY f.folder LIMIT 1");
            let elsewhere = match sql.row(db).await? {
                Some(row) => {
                    let location = row.text("location")?.parse();
                    Some((location.map_err(|error| StoreError::damaged("location", error))?, row.text("name")?))
                }
                None => None,
            };
            gone.push(GonePlace { message_id: message.parsed("message_id")?, recipient, elsewhere });
        }
    }
    Ok(gone)
}

const MAILBOX_COLUMNS: &str = "mailbox, state, mails, skipped, started_at, finished_at, next_at, error";

async fn put_crawl_mailbox(db: &mut Db<'_>, mailbox: &CrawlMailbox) -> Result<()> {
    let mut sql = Sql::new("INSERT INTO mail_crawls (");
    sql.push(MAILBOX_COLUMNS).push(") VALUES ").args([
        Arg::from(&mailbox.mailbox),
        Arg::from(&mailbox.state),
        Arg::from(mailbox.mails),
        Arg::from(mailbox.skipped),
        Arg::from(mailbox.started_at),
        Arg::from(mailbox.finished_at),
        Arg::from(mailbox.next_at),
        Arg::from(mailbox.error.clone()),
    ]);
    sql.push(
        " ON CONFLICT (mailbox) DO UPDATE SET state = excluded.state, mails = excluded.mails, \
         skipped = excluded.skipped, started_at = excluded.started_at, finished_at = excluded.finished_at, \
         next_at = excluded.next_at, error = excluded.error",
    );
    sql.run(db).await?;
    Ok(())
}

async fn crawl_mailboxes(db: &mut Db<'_>) -> Result<Vec<CrawlMailbox>> {
    let mut sql = Sql::new("SELECT ");
    sql.push(MAILBOX_COLUMNS).push(" FROM mail_crawls ORDER BY mailbox LIMIT ").arg(LISTED_MAX);
    sql.rows(db).await?.iter().map(read_mailbox).collect()
}

async fn crawl_mailbox(db: &mut Db<'_>, mailbox: &str) -> Result<Option<CrawlMailbox>> {
    let mut sql = Sql::new("SELECT ");
    sql.push(MAILBOX_COLUMNS).push(" FROM mail_crawls WHERE mailbox = ").arg(mailbox);
    sql.row(db).await?.map(|row| read_mailbox(&row)).transpose()
}

fn read_mailbox(row: &AnyRow) -> Result<CrawlMailbox> {
    Ok(CrawlMailbox {
        mailbox: row.text("mailbox")?,
        state: row.text("state")?,
        mails: row.int("mails")?,
        skipped: row.int("skipped")?,
        started_at: row.time("started_at")?,
        finished_at: row.time_or_null("finished_at")?,
        next_at: row.time("next_at")?,
        error: row.text_or_null("error")?,
    })
}
