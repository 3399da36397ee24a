//! Campaigns: messages alike belong together from the moment they are stored.
//!
//! A message joins the campaign of another one within two weeks when they carry the same files, or
//! their texts are near duplicates (fingerprints differ in few bits), or they share all
//! URLs and the sender or subject, or sender and subject. Messages of a demo are alike only among
//! themselves.

use super::terms::{self, Keys};
use crate::db::Db;
use crate::error::Result;
use crate::sql::{Cells, Sql};
use hinomi_model::{DemoId, MessageCopy, MessageId};

/// Two weeks in message numbers.
const WINDOW: i64 = (14 * 24 * 3_600_000) << super::OWN_BITS;
/// Newest messages looked at per way of being alike.
const CANDIDATES_MAX: i64 = 50;
/// Bits in which near duplicates differ at most (the mail room measured 6). Up to three are always found,
/// because one of the four parts is then the same; more only when they leave a part alone.
const BITS_MAX: u32 = 6;

/// What stands for the body in `mail_messages`: the fingerprint's own bits when there are some.
pub(super) fn body_key(copy: &MessageCopy, keys: Keys) -> i64 {
    terms::fingerprint_bits(&copy.fingerprint).map_or(keys.body, |bits| bits as i64)
}

struct Candidate {
    campaign: i64,
    subject: i64,
    body: i64,
    sender: i64,
}

/// Finds the campaign a new message belongs to.
pub(super) async fn of(db: &mut Db<'_>, copy: &MessageCopy, keys: Keys, n: i64) -> Result<Option<i64>> {
    let demo = copy.message_id.demo();
    // texts too short for a fingerprint are alike by chance
    let body = if copy.fingerprint.is_empty() { 0 } else { keys.body };
    for (key, alike) in [(keys.file, Alike::Any), (body, Alike::Any), (keys.url, Alike::SenderOrSubject)] {
        if key != 0
            && let Some(campaign) = candidates(db, demo, key, n).await?.into_iter().find(|one| alike.holds(one, keys))
        {
            return Ok(Some(campaign.campaign));
        }
    }
    if let (Some(bits), Some(bands)) = (terms::fingerprint_bits(&copy.fingerprint), terms::bands(&copy.fingerprint)) {
        for (at, band) in bands.into_iter().enumerate() {
            let near = |one: &Candidate| (one.body as u64 ^ bits).count_ones() <= BITS_MAX;
            if let Some(found) = candidates(db, demo, terms::band_term(at, band), n).await?.into_iter().find(near) {
                return Ok(Some(found.campaign));
            }
        }
    }
    if keys.subject != 0 && keys.sender != 0 {
        let same = |one: &Candidate| one.sender == keys.sender;
        let found = candidates(db, demo, keys.subject, n).await?.into_iter().find(same);
        return Ok(found.map(|one| one.campaign));
    }
    Ok(None)
}

#[derive(Clone, Copy)]
enum Alike {
    Any,
    SenderOrSubject,
}

impl Alike {
    fn holds(self, one: &Candidate, keys: Keys) -> bool {
        match self {
            Alike::Any => true,
            Alike::SenderOrSubject => one.sender == keys.sender || one.subject == keys.subject,
        }
    }
}

async fn candidates(db: &mut Db<'_>, demo: Option<DemoId>, term: i64, n: i64) -> Result<Vec<Candidate>> {
    let mut sql = Sql::new("SELECT m.message_id, m.campaign, m.subject_key, m.body_key, m.sender_key FROM ");
    sql.push("(SELECT n FROM mail_terms WHERE term = ").arg(term).push(" AND n > ").arg(n.saturating_sub(WINDOW));
    sql.push(" AND n < ").arg(n.saturating_add(WINDOW)).push(" ORDER BY n DESC LIMIT ").arg(CANDIDATES_MAX);
    sql.push(") t JOIN mail_messages m ON m.n = t.n ORDER BY m.n DESC");
    let mut found = Vec::new();
    for row in sql.rows(db).await? {
        if row.parsed::<MessageId>("message_id")?.demo() != demo {
            continue;
        }
        found.push(Candidate {
            campaign: row.int("campaign")?,
            subject: row.int("subject_key")?,
            body: row.int("body_key")?,
            sender: row.int("sender_key")?,
        });
    }
    Ok(found)
}
