//! Puts one message back into one mailbox.

use super::engine::{Engine, Open};
use super::find::raw_hash;
use super::words::restored;
use super::{Journal, Outcome, RemediateError, Restored, Step, StoredMail, Vault};
use crate::connector::{Mail, Mark, NewMail, Place};
use hinomi_model::{ReceiptState, Text};

/// Mails that arrived since an interrupted restore and are compared with the wanted one.
const ARRIVED_MAX: usize = 1_000;

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
            let earlier = match &step.mark {
                Some(mark) => arrived(open, mark, &step, &claimed).await?,
                None => None,
            };
            step.restored = match earlier {
                Some(mail) => Some(compared(&step, &mail)?),
                None => {
                    let mark = open.mailbox.mark(&step.located.place.folder).await?;
                    step.mark = Some(mark);
                    intent.steps[at] = step.clone();
                    journal.intent(&treated.copy, &intent).await.map_err(RemediateError::Journal)?;
                    back(open, &step, vault).await?
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

/// Looks whether an interrupted run already put the mail back: then it is among those that came
/// since, byte for byte.
async fn arrived(open: &mut Open, mark: &Mark, step: &Step, claimed: &[Place]) -> Result<Option<Mail>, RemediateError> {
    let since = open.mailbox.since(mark, ARRIVED_MAX).await?;
    let is_it = |mail: &Mail| {
        !claimed.contains(&mail.place)
            && mail.raw.len() as u64 == step.located.size
            && raw_hash(&mail.raw) == step.located.raw_sha256
    };
    // the same mail may have been delivered again meanwhile: ours carries the old date
    let (ours, others): (Vec<Mail>, Vec<Mail>) =
        since.into_iter().filter(is_it).partition(|mail| mail.internal_date == step.located.internal_date);
    let keeps_no_dates = others.len() == 1;
    Ok(ours.into_iter().next().or_else(|| others.into_iter().next().filter(|_| keeps_no_dates)))
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
