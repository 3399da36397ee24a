//! Messages that reply to or forward others.

use super::{COPIES_MAX, copies_of, terms};
use crate::db::Db;
use crate::error::Result;
use crate::sql::{Cells, Sql};
use hinomi_model::MessageCopy;

reads! {
    /// Returns the copies of the newest messages that name one of these Message-IDs in In-Reply-To or
    /// References, at most `max` messages.
    fn messages_referring(internet_message_ids: &[String], max: i64) -> Vec<MessageCopy>;
}

async fn messages_referring(db: &mut Db<'_>, internet_message_ids: &[String], max: i64) -> Result<Vec<MessageCopy>> {
    let mut numbers = std::collections::BTreeSet::new();
    for chunk in internet_message_ids.chunks(super::CHUNK) {
        let mut sql = Sql::new("SELECT DISTINCT n FROM mail_terms WHERE term IN ");
        sql.args(chunk.iter().map(|id| terms::reference_term(id))).push(" ORDER BY n DESC LIMIT ").arg(max);
        for row in sql.rows(db).await? {
            numbers.insert(row.int("n")?);
        }
    }
    let mut found = Vec::new();
    for n in numbers.into_iter().rev().take(usize::try_from(max).unwrap_or_default()) {
        // terms are hashes: the message itself has the last word
        let copies = copies_of(db, n, COPIES_MAX).await?;
        found.extend(
            copies.into_iter().filter(|copy| copy.references.iter().any(|id| internet_message_ids.contains(id))),
        );
    }
    Ok(found)
}
