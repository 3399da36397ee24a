//! The mail journal: what was about to be done to a mailbox copy, written before it is done.

use crate::db::Db;
use crate::error::Result;
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::{ActionId, MessageCopyRef};
use sqlx::any::AnyRow;

/// Actions of one copy that are returned.
const OF_COPY_MAX: i64 = 50;

/// Intent and result of an action on one mailbox copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The action.
    pub action: ActionId,
    /// The copy.
    pub copy: MessageCopyRef,
    /// What was about to be done, JSON.
    pub intent: String,
    /// What was done, JSON; none while open.
    pub result: Option<String>,
}

reads! {
    /// Returns what an action began and has not ended.
    fn journal_open(action: ActionId) -> Vec<JournalRow>;
    /// Returns everything an action did.
    fn journal(action: ActionId) -> Vec<JournalRow>;
    /// Returns what actions and late copies began to do with a copy, newest first, at most 50.
    fn journal_of_copy(copy: &MessageCopyRef) -> Vec<JournalRow>;
    /// Returns the actions with open intents, to be resumed after a restart.
    fn journal_open_actions() -> Vec<ActionId>;
}

writes! {
    /// Writes down what is about to be done; an earlier intent of the same action and copy is
    /// replaced and open again.
    fn journal_intent(action: ActionId, copy: &MessageCopyRef, json: &str) -> ();
    /// Writes down what was done; false when no intent was journalled.
    fn journal_result(action: ActionId, copy: &MessageCopyRef, json: &str) -> bool;
}

async fn journal_intent(db: &mut Db<'_>, action: ActionId, copy: &MessageCopyRef, json: &str) -> Result<()> {
    Sql::new(
        "INSERT INTO mail_journal (action_id, message_id, recipient, intent) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (action_id, message_id, recipient) DO UPDATE SET intent = excluded.intent, result = NULL",
    )
    .bind(Arg::id(action))
    .bind(Arg::id(copy.message_id))
    .bind(&copy.recipient)
    .bind(json)
    .run(db)
    .await?;
    Ok(())
}

async fn journal_result(db: &mut Db<'_>, action: ActionId, copy: &MessageCopyRef, json: &str) -> Result<bool> {
    let changed =
        Sql::new("UPDATE mail_journal SET result = $1 WHERE action_id = $2 AND message_id = $3 AND recipient = $4")
            .bind(json)
            .bind(Arg::id(action))
            .bind(Arg::id(copy.message_id))
            .bind(&copy.recipient)
            .run(db)
            .await?;
    Ok(changed > 0)
}

async fn journal(db: &mut Db<'_>, action: ActionId) -> Result<Vec<JournalRow>> {
    let rows = Sql::new(
        "SELECT action_id, message_id, recipient, intent, result FROM mail_journal WHERE action_id = $1 \
         ORDER BY message_id, recipient",
    )
    .bind(Arg::id(action))
    .rows(db)
    .await?;
    rows.iter().map(read).collect()
}

async fn journal_open(db: &mut Db<'_>, action: ActionId) -> Result<Vec<JournalRow>> {
    let rows = Sql::new(
        "SELECT action_id, message_id, recipient, intent, result FROM mail_journal \
         WHERE action_id = $1 AND result IS NULL ORDER BY message_id, recipient",
    )
    .bind(Arg::id(action))
    .rows(db)
    .await?;
    rows.iter().map(read).collect()
}

async fn journal_of_copy(db: &mut Db<'_>, copy: &MessageCopyRef) -> Result<Vec<JournalRow>> {
    let mut sql =
        Sql::new("SELECT action_id, message_id, recipient, intent, result FROM mail_journal WHERE message_id = ");
    sql.arg(Arg::id(copy.message_id)).push(" AND recipient = ").arg(copy.recipient.as_str());
    sql.push(" ORDER BY action_id DESC LIMIT ").arg(OF_COPY_MAX);
    sql.rows(db).await?.iter().map(read).collect()
}

async fn journal_open_actions(db: &mut Db<'_>) -> Result<Vec<ActionId>> {
    let rows = Sql::new("SELECT DISTINCT action_id FROM mail_journal WHERE result IS NULL ORDER BY action_id")
        .rows(db)
        .await?;
    rows.iter().map(|row| row.parsed("action_id")).collect()
}

fn read(row: &AnyRow) -> Result<JournalRow> {
    Ok(JournalRow {
        action: row.parsed("action_id")?,
        copy: MessageCopyRef { message_id: row.parsed("message_id")?, recipient: row.text("recipient")? },
        intent: row.text("intent")?,
        result: row.text_or_null("result")?,
    })
}
