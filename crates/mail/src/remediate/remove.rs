//! Takes one message out of one mailbox.

use super::engine::{Engine, Mailbox};
use super::find::{Match, Seen, raw_hash};
use super::{Intent, Journal, Located, Outcome, RemediateError, Step, StoredMail, Vault, Wanted};
use crate::imap::folder_for_people;
use hinomi_model::{MessageCopyRef, ReceiptState, Text};

/// Rounds of looking and removing: the owner may move a mail while we reach for it.
const ROUNDS_MAX: usize = 3;

impl Engine {
    /// Removes every mail that is the wanted one; resumes what an earlier run left open.
    pub(super) async fn remove(
        &self,
        mailbox: &mut Mailbox,
        wanted: &Wanted,
        journal: &dyn Journal,
        vault: &dyn Vault,
    ) -> Result<Outcome, RemediateError> {
        let known = journal.entry(&wanted.copy).await.map_err(RemediateError::Journal)?;
        if let Some(outcome) = known.as_ref().and_then(|entry| entry.outcome.clone()) {
            return Ok(outcome);
        }
        let before = known.unwrap_or_default().intent.steps;
        let mut steps = taken_before(mailbox, before.clone(), vault).await?;
        let mut differing = Vec::new();
        for round in 0..ROUNDS_MAX {
            let seen = self.look(mailbox, &wanted.identity).await?;
            differing = seen.differing.clone();
            if round == 0 {
                forget_moved(&mut steps, &before, &seen.present);
            }
            if seen.present.is_empty() {
                break;
            }
            self.take(mailbox, wanted, seen, &mut steps, journal, vault).await?;
        }
        let outcome = conclude(&wanted.copy, steps, differing);
        journal.outcome(&outcome).await.map_err(RemediateError::Journal)?;
        Ok(outcome)
    }

    /// One round: intent, copies into the vault, removal, proof.
    async fn take(
        &self,
        mailbox: &mut Mailbox,
        wanted: &Wanted,
        seen: Seen,
        steps: &mut Vec<Step>,
        journal: &dyn Journal,
        vault: &dyn Vault,
    ) -> Result<(), RemediateError> {
        let step_of = |located: &Located| Step {
            vault_key: vault_key(&wanted.copy, located),
            located: located.clone(),
            target: None,
            restored_uid: None,
        };
        let mut intent = Intent { steps: steps.clone() };
        intent.steps.extend(seen.present.iter().map(|found| step_of(&found.located)));
        journal.intent(&wanted.copy, &intent).await.map_err(RemediateError::Journal)?;
        for found in seen.present {
            let mut step = step_of(&found.located);
            let mail = StoredMail { located: found.located, raw: found.raw };
            vault.put(&step.vault_key, &mail).await.map_err(RemediateError::Vault)?;
            // the first copy counts: this one may carry the mark of an interrupted run
            let kept = vault.get(&step.vault_key).await.map_err(RemediateError::Vault)?;
            let kept = kept.filter(|kept| raw_hash(&kept.raw) == mail.located.raw_sha256);
            step.located =
                kept.ok_or_else(|| RemediateError::Vault("the copy is not there after writing".to_owned()))?.located;
            if expunge(mailbox, &step.located).await? {
                steps.push(step);
            }
        }
        Ok(())
    }
}

/// Steps of an interrupted run that did take their mail out: it is in the vault and its UID is
/// gone. Mails still there are found again by the next look.
async fn taken_before(
    mailbox: &mut Mailbox,
    before: Vec<Step>,
    vault: &dyn Vault,
) -> Result<Vec<Step>, RemediateError> {
    let mut taken = Vec::new();
    for step in before {
        let Some(kept) = vault.get(&step.vault_key).await.map_err(RemediateError::Vault)? else { continue };
        let there = match mailbox.connection.select(&step.located.folder, true).await {
            Ok(selected) if selected.uid_validity == step.located.uid_validity => {
                mailbox.connection.has_uid(step.located.uid).await?
            }
            Ok(_) | Err(crate::imap::ImapError::Refused { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if !there {
            taken.push(Step { located: kept.located, ..step });
        }
    }
    Ok(taken)
}

/// Drops steps of an interrupted run whose mail turns up where that run had not seen it: it was not
/// taken out but moved by its owner, and must not be put back twice later.
fn forget_moved(taken: &mut Vec<Step>, before: &[Step], present: &[Match]) {
    for found in present.iter().map(|found| &found.located) {
        let place = |known: &Located| known.folder == found.folder && known.uid == found.uid;
        if before.iter().any(|step| place(&step.located)) {
            continue;
        }
        let moved = taken.iter().position(|step| {
            step.located.raw_sha256 == found.raw_sha256 && step.located.internal_date == found.internal_date
        });
        if let Some(at) = moved {
            taken.remove(at);
        }
    }
}

/// Removes a mail and proves it. False when it was not there any more: its owner was faster.
async fn expunge(mailbox: &mut Mailbox, located: &Located) -> Result<bool, RemediateError> {
    let connection = &mut mailbox.connection;
    let selected = connection.select(&located.folder, false).await?;
    if selected.uid_validity != located.uid_validity {
        return Err(RemediateError::Proof(format!("folder {} was renumbered meanwhile", located.folder)));
    }
    if !connection.mark_deleted(located.uid).await? {
        return Ok(false);
    }
    let gone = connection.expunge(located.uid).await?;
    if connection.has_uid(located.uid).await? {
        return Err(RemediateError::Proof(format!("UID {} is still there after its removal", located.uid)));
    }
    Ok(gone > 0)
}

fn vault_key(copy: &MessageCopyRef, located: &Located) -> String {
    let text = format!(
        "{}\0{}\0{}\0{}\0{}\0{}\0{}",
        copy.message_id,
        copy.recipient,
        located.mailbox,
        located.folder,
        located.uid_validity,
        located.uid,
        located.raw_sha256
    );
    raw_hash(text.as_bytes())
}

fn conclude(copy: &MessageCopyRef, steps: Vec<Step>, differing: Vec<super::Candidate>) -> Outcome {
    let folders: Vec<String> = steps.iter().map(|step| folder_for_people(&step.located.folder)).collect();
    let folders = folders.join(", ");
    let (state, detail) = match (steps.is_empty(), differing.len()) {
        (false, 0) => (
            ReceiptState::Done,
            Text::new(
                format!("Taken out of {folders}; a look afterwards shows it gone"),
                format!("{folders} から取り除きました。確認済み: もうありません"),
            ),
        ),
        (false, others) => (
            ReceiptState::Done,
            Text::new(
                format!(
                    "Taken out of {folders}; {others} other mail(s) with the same Message-ID but other content left alone"
                ),
                format!(
                    "{folders} から取り除きました。Message-ID は同じでも内容が異なるメール {others} 通はそのままです"
                ),
            ),
        ),
        (true, 0) => (
            ReceiptState::NotFound,
            Text::new("Not in any folder of the mailbox", "メールボックスのどのフォルダーにもありません"),
        ),
        (true, others) => (
            ReceiptState::NotFound,
            Text::new(
                format!("Not there; {others} mail(s) with the same Message-ID but other content left alone"),
                format!("見つかりません。Message-ID は同じでも内容が異なるメール {others} 通はそのままです"),
            ),
        ),
    };
    Outcome { copy: copy.clone(), state, detail, steps, differing }
}
