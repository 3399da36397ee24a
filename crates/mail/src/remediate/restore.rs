//! Puts one message back into one mailbox.

use super::engine::{Engine, Open};
use super::find::raw_hash;
use super::words::restored;
use super::{Journal, Outcome, RemediateError, Restored, Step, StoredMail, Vault};
use crate::connector::{Mail, MailId, Mark, NewMail, Place};
use hinomi_model::{ReceiptState, Text};
use std::time::Duration;
use tokio::time::Instant;

/// Mails that arrived since an interrupted restore and are compared with the wanted one.
const ARRIVED_MAX: usize = 1_000;
/// How long a mail is waited for that an interrupted run was just putting back, and how often is looked.
const LATE_MAX: Duration = Duration::from_secs(2);
const LATE_LOOKS: Duration = Duration::from_millis(250);

impl Engine {
    /// Puts back every mail a remedy took away; resumes what an earlier run left open.
    pub(super) async fn put_back(
        &self,
        open: &mut Open,
        treated: &Outcome,
        journal: &dyn Journal,
        vault: &dyn Vault,
    ) -> Result<Outcome, RemediateError> {
        let known = journal.entry(&treated.copy).await.map_err(RemediateError::Journal)?;
        let known = known.unwrap_or_default();
        let mut intent = known.intent;
        match known.outcome {
            // what did not succeed is tried again, as far as it did not
            Some(outcome) if outcome.state == ReceiptState::Failed => intent.steps = outcome.steps,
            Some(outcome) => return Ok(outcome),
            None => {}
        }
        if intent.steps.is_empty() {
            intent.steps = treated.steps.clone();
        }
        for at in 0..intent.steps.len() {
            let claimed = claimed(&intent.steps, at);
            let mut step = intent.steps[at].clone();
            if step.restored.is_some() {
                continue;
            }
            let resumed = step.mark.clone();
            let earlier = match &resumed {
                Some(mark) => arrives(open, mark, &step, &claimed).await?,
                None => None,
            };
            step.restored = match earlier {
                Some(mail) => Some(compared(&step, &mail)?),
                None => {
                    let fresh = open.mailbox.mark(&step.located.place.folder).await?;
                    // what an interrupted run put there lies behind its mark, not behind ours
                    step.mark = resumed.clone().filter(|mark| same_numbers(mark, &fresh)).or(Some(fresh));
                    intent.steps[at] = step.clone();
                    journal.intent(&treated.copy, &intent).await.map_err(RemediateError::Journal)?;
                    let restored = back(open, &step, vault).await?;
                    if let (Some(restored), Some(_)) = (&restored, resumed) {
                        no_second(open, &step, &restored.place, &claimed).await?;
                    }
                    restored
                }
            };
            intent.steps[at] = step;
        }
        let outcome = restored(&treated.copy, intent.steps);
        journal.outcome(&outcome).await.map_err(RemediateError::Journal)?;
        Ok(outcome)
    }
}

/// Ids other steps have already taken as theirs.
fn claimed(steps: &[Step], at: usize) -> Vec<Place> {
    let others = steps.iter().enumerate().filter(|(index, _)| *index != at);
    others.filter_map(|(_, step)| step.restored.as_ref().map(|restored| restored.place.clone())).collect()
}

/// Brings one mail back: from where it was moved to, else from the vault. `None` when it is in
/// neither: its owner has dealt with it since.
async fn back(open: &mut Open, step: &Step, vault: &dyn Vault) -> Result<Option<Restored>, RemediateError> {
    if let Some(moved_to) = &step.moved_to
        && let Some(place) = open.mailbox.relocate(moved_to, &step.located.place.folder).await?
    {
        return Ok(Some(Restored { place, lost: Vec::new() }));
    }
    let Some(key) = &step.vault_key else { return Ok(None) };
    let kept = vault.get(key).await.map_err(RemediateError::Vault)?;
    let kept = kept.ok_or_else(|| RemediateError::Vault(format!("no mail under key {key}")))?;
    let mark = step.mark.as_ref().ok_or_else(|| RemediateError::Proof("the folder was not marked".to_owned()))?;
    let StoredMail { located, raw } = kept;
    let new = NewMail { flags: located.flags, internal_date: located.internal_date, raw };
    let there = open.mailbox.put(mark, &new).await?;
    compared(step, &there).map(Some)
}

/// Looks whether an interrupted run already put the mail back; for a while, because the system may
/// still be at it: it was told to before the connection broke.
async fn arrives(open: &mut Open, mark: &Mark, step: &Step, claimed: &[Place]) -> Result<Option<Mail>, RemediateError> {
    let until = Instant::now() + LATE_MAX;
    loop {
        let (ours, others) = arrived(open, mark, step, claimed).await?;
        let keeps_no_dates = others.len() == 1;
        let found = ours.into_iter().next().or_else(|| others.into_iter().next().filter(|_| keeps_no_dates));
        if found.is_some() || Instant::now() >= until {
            return Ok(found);
        }
        tokio::time::sleep(LATE_LOOKS).await;
    }
}

/// Takes away what an interrupted run put there later than anybody waited for: the same bytes and
/// date, behind its mark, and not the mail at `kept`.
async fn no_second(open: &mut Open, step: &Step, kept: &Place, claimed: &[Place]) -> Result<(), RemediateError> {
    let Some(mark) = &step.mark else { return Ok(()) };
    let (ours, _) = arrived(open, mark, step, claimed).await?;
    for second in ours.into_iter().filter(|mail| mail.place.id != kept.id) {
        open.mailbox.destroy(&second.place).await?;
    }
    Ok(())
}

/// Mails that came since a mark and are the wanted one byte for byte: those with its date, and others
/// (the same mail may have been delivered again meanwhile, and some systems keep no dates).
async fn arrived(
    open: &mut Open,
    mark: &Mark,
    step: &Step,
    claimed: &[Place],
) -> Result<(Vec<Mail>, Vec<Mail>), RemediateError> {
    let since = open.mailbox.since(mark, ARRIVED_MAX).await?;
    let is_it = |mail: &Mail| {
        !claimed.contains(&mail.place)
            && mail.raw.len() as u64 == step.located.size
            && raw_hash(&mail.raw) == step.located.raw_sha256
    };
    Ok(since.into_iter().filter(is_it).partition(|mail| mail.internal_date == step.located.internal_date))
}

/// True when the ids of two marks can be compared.
fn same_numbers(one: &Mark, other: &Mark) -> bool {
    match (&one.next, &other.next) {
        (MailId::Uid { uid_validity: one, .. }, MailId::Uid { uid_validity: other, .. }) => one == other,
        _ => true,
    }
}

/// Compares what is there with what was taken away.
fn compared(step: &Step, there: &Mail) -> Result<Restored, RemediateError> {
    let before = &step.located;
    if raw_hash(&there.raw) != before.raw_sha256 {
        return Err(RemediateError::Proof(format!(
            "the mail in {} is not the one that was taken out, byte for byte",
            before.place.folder.name
        )));
    }
    let mut lost = Vec::new();
    let lower = |flags: &[String]| flags.iter().map(|flag| flag.to_ascii_lowercase()).collect::<Vec<_>>();
    let (had, has) = (lower(&before.flags), lower(&there.flags));
    let gone: Vec<&str> =
        before.flags.iter().filter(|flag| !has.contains(&flag.to_ascii_lowercase())).map(String::as_str).collect();
    if !gone.is_empty() {
        let gone = gone.join(" ");
        lost.push(Text::new(format!("flags not kept: {gone}"), format!("失われたフラグ: {gone}")));
    }
    let new: Vec<&str> =
        there.flags.iter().filter(|flag| !had.contains(&flag.to_ascii_lowercase())).map(String::as_str).collect();
    if !new.is_empty() {
        let new = new.join(" ");
        lost.push(Text::new(format!("flags added by the server: {new}"), format!("サーバーが付けたフラグ: {new}")));
    }
    if instant(&there.internal_date) != instant(&before.internal_date) {
        let (now, was) = (&there.internal_date, &before.internal_date);
        lost.push(Text::new(
            format!("received date not kept: {now} instead of {was}"),
            format!("受信日時が保持されません: {was} ではなく {now}"),
        ));
    }
    Ok(Restored { place: there.place.clone(), lost })
}

/// The moment an INTERNALDATE names; a server may write another zone. What is not a date stays text.
fn instant(internal_date: &str) -> Result<i64, &str> {
    crate::imap::internal_date_seconds(internal_date).ok_or(internal_date)
}
