//! Puts one message back into one mailbox.

use super::engine::{Engine, Mailbox};
use super::find::raw_hash;
use super::{Intent, Journal, Outcome, RemediateError, Step, StoredMail, Target, Vault};
use crate::imap::{ImapError, folder_for_people};
use hinomi_model::{ReceiptState, Text};

/// Mails that arrived since an interrupted restore and are compared with the wanted one.
const ARRIVED_MAX: usize = 1_000;

impl Engine {
    /// Puts back every mail a removal took out; resumes what an earlier run left open.
    pub(super) async fn put_back(
        &self,
        mailbox: &mut Mailbox,
        removed: &Outcome,
        journal: &dyn Journal,
        vault: &dyn Vault,
    ) -> Result<Outcome, RemediateError> {
        let known = journal.entry(&removed.copy).await.map_err(RemediateError::Journal)?;
        if let Some(outcome) = known.as_ref().and_then(|entry| entry.outcome.clone()) {
            return Ok(outcome);
        }
        let mut intent = known.unwrap_or_default().intent;
        if intent.steps.is_empty() {
            intent.steps = removed.steps.clone();
        }
        for at in 0..intent.steps.len() {
            let key = intent.steps[at].vault_key.clone();
            let kept = vault.get(&key).await.map_err(RemediateError::Vault)?;
            let kept = kept.ok_or_else(|| RemediateError::Vault(format!("no mail under key {key}")))?;
            let done = match &intent.steps[at].target {
                Some(target) => arrived(mailbox, target, &kept, &claimed(&intent.steps, at)).await?,
                None => None,
            };
            let uid = match done {
                Some(uid) => uid,
                None => {
                    let target = open_target(mailbox, &kept.located.folder).await?;
                    intent.steps[at].target = Some(target.clone());
                    journal.intent(&removed.copy, &intent).await.map_err(RemediateError::Journal)?;
                    append(mailbox, &target, &kept).await?
                }
            };
            intent.steps[at].restored_uid = Some(uid);
        }
        let outcome = conclude(removed, intent);
        journal.outcome(&outcome).await.map_err(RemediateError::Journal)?;
        Ok(outcome)
    }
}

/// UIDs other steps have already taken as theirs.
fn claimed(steps: &[Step], at: usize) -> Vec<u32> {
    let folder = steps[at].target.as_ref().map(|target| &target.folder);
    let others = steps
        .iter()
        .enumerate()
        .filter(|(index, step)| *index != at && step.target.as_ref().map(|t| &t.folder) == folder);
    others.filter_map(|(_, step)| step.restored_uid).collect()
}

/// Opens the folder the mail was in, making it again when it is gone.
async fn open_target(mailbox: &mut Mailbox, folder: &str) -> Result<Target, RemediateError> {
    let selected = match mailbox.connection.select(folder, false).await {
        Err(ImapError::Refused { .. }) => {
            mailbox.connection.create(folder).await?;
            mailbox.connection.select(folder, false).await?
        }
        other => other?,
    };
    Ok(Target { folder: folder.to_owned(), uid_validity: selected.uid_validity, uid_next: selected.uid_next })
}

/// Looks whether an interrupted run already put the mail back: then it is among those that came
/// since, byte for byte.
async fn arrived(
    mailbox: &mut Mailbox,
    target: &Target,
    kept: &StoredMail,
    claimed: &[u32],
) -> Result<Option<u32>, RemediateError> {
    let selected = match mailbox.connection.select(&target.folder, true).await {
        Err(ImapError::Refused { .. }) => return Ok(None),
        other => other?,
    };
    if selected.uid_validity != target.uid_validity {
        return Err(RemediateError::Proof(format!("folder {} was renumbered since the restore began", target.folder)));
    }
    let uids = mailbox.connection.uids_from(target.uid_next).await?;
    if uids.len() > ARRIVED_MAX {
        return Err(RemediateError::Proof(format!(
            "too many new mails in {} to tell whether it is back",
            target.folder
        )));
    }
    for uid in uids.into_iter().filter(|uid| !claimed.contains(uid)) {
        let Some(fetched) = mailbox.connection.fetch(uid).await? else { continue };
        if fetched.raw == kept.raw && fetched.internal_date == kept.located.internal_date {
            return Ok(Some(uid));
        }
    }
    Ok(None)
}

/// Puts the mail back and compares what is there with what was kept.
async fn append(mailbox: &mut Mailbox, target: &Target, kept: &StoredMail) -> Result<u32, RemediateError> {
    let located = &kept.located;
    let connection = &mut mailbox.connection;
    let appended = connection.append(&target.folder, &located.flags, &located.internal_date, &kept.raw).await?;
    let uid = match appended {
        Some((validity, uid)) if validity == target.uid_validity => uid,
        Some(_) => return Err(RemediateError::Proof(format!("folder {} was renumbered meanwhile", target.folder))),
        // no UIDPLUS: the proof is to find it
        None => arrived(mailbox, target, kept, &[])
            .await?
            .ok_or_else(|| RemediateError::Proof("the restored mail is not in its folder".to_owned()))?,
    };
    let connection = &mut mailbox.connection;
    connection.select(&target.folder, true).await?;
    let there = connection.fetch(uid).await?;
    let there = there.ok_or_else(|| RemediateError::Proof(format!("UID {uid} is not there after the restore")))?;
    if raw_hash(&there.raw) != located.raw_sha256 {
        return Err(RemediateError::Proof(format!("UID {uid} is not the mail that was taken out, byte for byte")));
    }
    if there.flags != located.flags || there.internal_date != located.internal_date {
        tracing::warn!(mailbox = mailbox.name, uid, "the server did not keep flags or date of a restored mail");
    }
    Ok(uid)
}

fn conclude(removed: &Outcome, intent: Intent) -> Outcome {
    let folders: Vec<String> = intent.steps.iter().map(|step| folder_for_people(&step.located.folder)).collect();
    let folders = folders.join(", ");
    Outcome {
        copy: removed.copy.clone(),
        state: ReceiptState::Done,
        detail: Text::new(
            format!("Back in {folders}, the same byte for byte"),
            format!("{folders} に戻しました。内容は 1 バイトも違いません"),
        ),
        steps: intent.steps,
        differing: Vec::new(),
    }
}
