//! Loading many new messages at once, for benchmarks and for moving an archive in: the postings are
//! sorted before they are written, which is what makes millions of them cheap.

use super::terms;
use super::{campaign_id, hour_of, number_at, shared};
use crate::db::Store;
use crate::error::Result;
use crate::sql::{Arg, Sql};
use hinomi_model::{MailField, MessageCopy};
use std::collections::HashMap;

/// Messages per statement.
const MESSAGES: usize = 200;
/// Postings per statement (PostgreSQL takes 65,535 values).
const POSTINGS: usize = 8_000;
/// Statements per transaction: the log of changes stays small beside the data.
const STATEMENTS: usize = 200;

#[derive(Default)]
struct Load {
    messages: Vec<[Arg; 14]>,
    copies: Vec<[Arg; 9]>,
    postings: Vec<(i64, i64)>,
    counts: HashMap<(i64, i64), i64>,
    campaigns: HashMap<(i64, i64), i64>,
    last: i64,
}

impl Store {
    /// Loads messages none of which is known, oldest first; each item is all copies of one message.
    /// Messages with the same sender and subject become one campaign. Returns the number of copies. A
    /// load that is cut short leaves messages that no condition finds.
    pub async fn load_messages(&self, messages: impl Iterator<Item = Vec<MessageCopy>> + Send) -> Result<u64> {
        let mut tx = self.begin().await?;
        let mut load = Load::default();
        let (mut loaded, mut statements) = (0, 0);
        for copies in messages {
            loaded += copies.len() as u64;
            load.add(&copies)?;
            if load.messages.len() >= MESSAGES {
                load.write_rows(&mut tx.db()).await?;
                statements += 1;
                if statements % STATEMENTS == 0 {
                    tx.commit().await?;
                    tx = self.begin().await?;
                }
            }
        }
        load.write_rows(&mut tx.db()).await?;
        load.postings.sort_unstable();
        load.postings.dedup();
        for some in load.postings.chunks(POSTINGS * STATEMENTS) {
            write_postings(&mut tx.db(), some).await?;
            tx.commit().await?;
            tx = self.begin().await?;
        }
        load.write_counts(&mut tx.db()).await?;
        tx.commit().await?;
        Ok(loaded)
    }

    /// Lets the database learn how its rows are spread; worth while after a load.
    pub async fn analyze(&self) -> Result<()> {
        let mut conn = self.writer().await?;
        let mut db = crate::db::Db { conn: &mut conn, backend: self.backend(), locking: false };
        Sql::new("ANALYZE").run(&mut db).await?;
        Ok(())
    }
}

impl Load {
    fn add(&mut self, copies: &[MessageCopy]) -> Result<()> {
        let Some(first) = copies.first() else { return Ok(()) };
        let n = number_at(first.received_at).max(self.last + 1);
        self.last = n;
        let keys = terms::keys(first);
        let campaign = *self.campaigns.entry((keys.sender, keys.subject)).or_insert(n);
        let count = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
        self.messages.push([
            Arg::from(n),
            Arg::id(first.message_id),
            Arg::from(i64::try_from(first.size).unwrap_or(i64::MAX)),
            Arg::from(count(first.attachments.iter().filter(|file| file.parent_sha256.is_none()).count())),
            Arg::from(count(first.urls.len())),
            Arg::from(count(copies.len())),
            Arg::from(campaign),
            Arg::from(keys.subject),
            Arg::from(super::campaign::body_key(first, keys)),
            Arg::from(keys.sender),
            Arg::from(keys.url),
            Arg::from(keys.file),
            Arg::from(1),
            Arg::from(shared(first)?),
        ]);
        let mut found = terms::of_message(first);
        found.plain.insert(terms::term(MailField::Campaign.name(), &campaign_id(campaign)));
        for copy in copies {
            let own = terms::of_copy(copy);
            found.plain.extend(own.plain);
            found.counted.extend(own.counted);
            self.copies.push([
                Arg::from(n),
                Arg::from(&copy.recipient),
                Arg::word(copy.delivery_action),
                Arg::word(copy.delivery_location),
                Arg::word(copy.latest_location),
                Arg::from(copy.folder.clone()),
                Arg::from(copy.moved_by.clone()),
                Arg::from(copy.moved_at),
                Arg::from(1),
            ]);
        }
        self.postings.extend(found.all().map(|term| (term, n)));
        for term in found.counted {
            *self.counts.entry((term, hour_of(n))).or_default() += 1;
        }
        Ok(())
    }

    async fn write_rows(&mut self, db: &mut crate::db::Db<'_>) -> Result<()> {
        insert(
            db,
            "INSERT INTO mail_messages (n, message_id, size, files, urls, copies, campaign, subject_key, body_key, \
             sender_key, url_key, file_key, version, doc) VALUES ",
            std::mem::take(&mut self.messages),
            MESSAGES,
        )
        .await?;
        insert(
            db,
            "INSERT INTO mail_copies (n, recipient, delivery_action, delivery_location, latest_location, folder, \
             moved_by, moved_at, version) VALUES ",
            std::mem::take(&mut self.copies),
            MESSAGES * 4,
        )
        .await
    }

    async fn write_counts(&mut self, db: &mut crate::db::Db<'_>) -> Result<()> {
        let mut counts: Vec<((i64, i64), i64)> = std::mem::take(&mut self.counts).into_iter().collect();
        counts.sort_unstable();
        let rows = counts.into_iter().map(|((term, hour), count)| [term, hour, count].map(Arg::from)).collect();
        insert(db, "INSERT INTO mail_counts (term, hour, count) VALUES ", rows, POSTINGS / 2).await
    }
}

async fn write_postings(db: &mut crate::db::Db<'_>, postings: &[(i64, i64)]) -> Result<()> {
    for chunk in postings.chunks(POSTINGS) {
        let rows = chunk.iter().map(|(term, n)| [Arg::from(*term), Arg::from(*n)]).collect();
        insert(db, "INSERT INTO mail_terms (term, n) VALUES ", rows, POSTINGS).await?;
    }
    Ok(())
}

async fn insert<const N: usize>(
    db: &mut crate::db::Db<'_>,
    head: &'static str,
    rows: Vec<[Arg; N]>,
    together: usize,
) -> Result<()> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut sql = Sql::new(head);
        for (at, row) in rows.by_ref().take(together).enumerate() {
            sql.push(if at == 0 { "" } else { ", " }).args(row);
        }
        sql.run(db).await?;
    }
    Ok(())
}
