//! The crawl: how far the folders of the mailboxes were read, and which message each mail is.

use crate::db::{Arg, Cells, Db, Sql};
use crate::error::{Result, StoreError};
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
    /// Name as the server writes it.
    pub folder: String,
    /// Where mails of it are.
    pub location: DeliveryLocation,
    /// UIDVALIDITY the rest holds for.
    pub uid_validity: u32,
    /// Every mail with a smaller UID was read.
    pub uid_next: u32,
    /// Mails the server said it holds when it was read to the end; none = not yet.
    pub mails: Option<u32>,
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
    /// Another place it was seen at: location and folder.
    pub elsewhere: Option<(DeliveryLocation, String)>,
}

reads! {
    /// Returns how far a folder was read.
    fn crawl_folder(mailbox: &str, folder: &str) -> Option<CrawlFolder>;
    /// Returns the names of the folders of a mailbox that were read.
    fn crawl_folder_names(mailbox: &str) -> Vec<String>;
    /// Returns the UIDs known in a folder, ascending.
    fn crawl_places(mailbox: &str, folder: &str) -> Vec<u32>;
    /// Returns the states of all mailboxes, at most 10,000, in order of their names.
    fn crawl_mailboxes() -> Vec<CrawlMailbox>;
    /// Returns one mailbox.
    fn crawl_mailbox(mailbox: &str) -> Option<CrawlMailbox>;
}

writes! {
    /// Stores how far a folder was read.
    fn put_crawl_folder(folder: &CrawlFolder) -> ();
    /// Notes which messages the mails of a folder are: UID, message, recipient. Messages that are not
    /// known are left out.
    fn add_crawl_places(mailbox: &str, folder: &str, places: &[(u32, MessageId, String)]) -> ();
    /// Forgets mails of a folder and tells which copies they were.
    fn remove_crawl_places(mailbox: &str, folder: &str, uids: &[u32]) -> Vec<GonePlace>;
    /// Stores the state of a mailbox.
    fn put_crawl_mailbox(mailbox: &CrawlMailbox) -> ();
}

fn folder_id(mailbox: &str, folder: &str) -> i64 {
    crate::messages::term("folder", &format!("{mailbox}\0{folder}"))
}

async fn crawl_folder(db: &mut Db<'_>, mailbox: &str, folder: &str) -> Result<Option<CrawlFolder>> {
    let mut sql =
        Sql::new("SELECT mailbox, folder, location, uid_validity, uid_next, mails, seen_at FROM mail_folders ");
    sql.push("WHERE id = ").arg(folder_id(mailbox, folder));
    let Some(row) = sql.row(db).await? else { return Ok(None) };
    let number = |name: &'static str| -> Result<u32> {
        u32::try_from(row.int(name)?).map_err(|error| StoreError::damaged(name, error))
    };
    Ok(Some(CrawlFolder {
        mailbox: row.text("mailbox")?,
        folder: row.text("folder")?,
        location: row.text("location")?.parse().map_err(|error| StoreError::damaged("location", error))?,
        uid_validity: number("uid_validity")?,
        uid_next: number("uid_next")?,
        mails: row.int_or_null("mails")?.and_then(|mails| u32::try_from(mails).ok()),
        seen_at: row.time("seen_at")?,
    }))
}

async fn crawl_folder_names(db: &mut Db<'_>, mailbox: &str) -> Result<Vec<String>> {
    let sql = Sql::new("SELECT folder FROM mail_folders WHERE mailbox = $1 ORDER BY folder").bind(mailbox);
    sql.rows(db).await?.iter().map(|row| row.text("folder")).collect()
}

async fn put_crawl_folder(db: &mut Db<'_>, folder: &CrawlFolder) -> Result<()> {
    let mut sql = Sql::new(
        "INSERT INTO mail_folders (id, mailbox, folder, location, uid_validity, uid_next, mails, seen_at) VALUES ",
    );
    sql.args([
        Arg::from(folder.id()),
        Arg::from(&folder.mailbox),
        Arg::from(&folder.folder),
        Arg::word(folder.location),
        Arg::from(i64::from(folder.uid_validity)),
        Arg::from(i64::from(folder.uid_next)),
        Arg::from(folder.mails.map(i64::from)),
        Arg::from(folder.seen_at),
    ]);
    sql.push(
        " ON CONFLICT (id) DO UPDATE SET location = excluded.location, uid_validity = excluded.uid_validity, \
         uid_next = excluded.uid_next, mails = excluded.mails, seen_at = excluded.seen_at",
    );
    sql.run(db).await?;
    Ok(())
}

async fn add_crawl_places(
    db: &mut Db<'_>,
    mailbox: &str,
    folder: &str,
    places: &[(u32, MessageId, String)],
) -> Result<()> {
    let id = folder_id(mailbox, folder);
    for (uid, message, recipient) in places {
        let mut sql = Sql::new("INSERT INTO mail_places (folder_id, uid, n, recipient) SELECT CAST(");
        sql.arg(id).push(" AS BIGINT), CAST(").arg(i64::from(*uid)).push(" AS BIGINT), n, CAST(").arg(recipient);
        sql.push(" AS TEXT) FROM mail_messages WHERE message_id = ").arg(message.to_string());
        sql.push(" ON CONFLICT (folder_id, uid) DO NOTHING");
        sql.run(db).await?;
    }
    Ok(())
}

async fn crawl_places(db: &mut Db<'_>, mailbox: &str, folder: &str) -> Result<Vec<u32>> {
    let sql =
        Sql::new("SELECT uid FROM mail_places WHERE folder_id = $1 ORDER BY uid").bind(folder_id(mailbox, folder));
    let uid = |row: &AnyRow| u32::try_from(row.int("uid")?).map_err(|error| StoreError::damaged("uid", error));
    sql.rows(db).await?.iter().map(uid).collect()
}

async fn remove_crawl_places(db: &mut Db<'_>, mailbox: &str, folder: &str, uids: &[u32]) -> Result<Vec<GonePlace>> {
    let id = folder_id(mailbox, folder);
    let mut gone = Vec::new();
    for chunk in uids.chunks(CHUNK) {
        let mut sql = Sql::new("DELETE FROM mail_places WHERE folder_id = ");
        sql.arg(id).push(" AND uid IN ").args(chunk.iter().map(|uid| i64::from(*uid))).push(" RETURNING n, recipient");
        for row in sql.rows(db).await? {
            let (n, recipient) = (row.int("n")?, row.text("recipient")?);
            let mut sql = Sql::new("SELECT message_id FROM mail_messages WHERE n = ");
            sql.arg(n);
            let Some(message) = sql.row(db).await? else { continue };
            let mut sql = Sql::new("SELECT f.location, f.folder FROM mail_places p JOIN mail_folders f ");
            sql.push("ON f.id = p.folder_id WHERE p.n = ").arg(n).push(" AND p.recipient = ").arg(&*recipient);
            sql.push(" ORDER BY f.folder LIMIT 1");
            let elsewhere = match sql.row(db).await? {
                Some(row) => {
                    let location = row.text("location")?.parse();
                    Some((location.map_err(|error| StoreError::damaged("location", error))?, row.text("folder")?))
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
