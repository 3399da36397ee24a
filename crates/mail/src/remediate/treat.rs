//! Does one remedy to one message in one mailbox.

use super::engine::{Engine, Open};
use super::find::{Match, raw_hash};
use super::words::{Treated, treated};
use super::{Intent, Journal, Located, Outcome, RemediateError, Step, StoredMail, Vault, Wanted};
use crate::connector::{Abilities, ConnectorError, Folder, FolderRole};
use hinomi_model::{MessageCopyRef, MessageRemedy, Text};

/// Rounds of looking and acting: the owner may move a mail while we reach for it.
const ROUNDS_MAX: usize = 3;

/// What a remedy comes to on a mail system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Deed {
    /// A copy goes into the vault first.
    keeps: bool,
    /// Folder it moves to; none = it is removed.
    target: Option<FolderRole>,
}

impl Deed {
    fn of(remedy: MessageRemedy, abilities: &Abilities) -> Result<Deed, ConnectorError> {
        let hidden = abilities.hides.then_some(FolderRole::Recoverable);
        Ok(match remedy {
            MessageRemedy::MoveToJunk => Deed { keeps: false, target: Some(FolderRole::Junk) },
            MessageRemedy::MoveToInbox => Deed { keeps: false, target: Some(FolderRole::Inbox) },
            MessageRemedy::MoveToDeletedItems => Deed { keeps: false, target: Some(FolderRole::DeletedItems) },
            MessageRemedy::HardDelete => Deed { keeps: false, target: None },
            MessageRemedy::SoftDelete | MessageRemedy::MoveToQuarantine if !abilities.puts && !abilities.hides => {
                return Err(ConnectorError::Unable(Text::new(
                    "what is removed could not be put back",
                    "取り除いたメールを元に戻す手段がありません",
                )));
            }
            MessageRemedy::SoftDelete => Deed { keeps: hidden.is_none(), target: hidden },
            MessageRemedy::MoveToQuarantine => Deed { keeps: true, target: hidden },
        })
    }

    /// True when a mail in this folder is where the remedy would bring it, or not meant by it.
    fn is_done(self, folder: &Folder) -> bool {
        match self.target {
            None => false,
            // any folder of the owner is as good as the inbox; junk and deleted items are not
            Some(FolderRole::Inbox) => {
                !matches!(folder.role, Some(FolderRole::Junk | FolderRole::DeletedItems | FolderRole::Recoverable))
            }
            Some(role) => folder.role == Some(role),
        }
    }
}

impl Engine {
    /// Treats every mail that is the wanted one; resumes what an earlier run left open. Without `acts`
    /// it only finds out what that run came to: what is still there stays.
    pub(super) async fn treat_one(
        &self,
        open: &mut Open,
        remedy: MessageRemedy,
        wanted: &Wanted,
        acts: bool,
        journal: &dyn Journal,
        vault: &dyn Vault,
    ) -> Result<Outcome, RemediateError> {
        let known = journal.entry(&wanted.copy).await.map_err(RemediateError::Journal)?;
        if let Some(outcome) = known.as_ref().and_then(|entry| entry.outcome.clone()) {
            return Ok(outcome);
        }
        let deed = Deed::of(remedy, &open.mailbox.abilities())?;
        let before = known.unwrap_or_default().intent.steps;
        let mut steps = gone_before(open, before.clone(), vault).await?;
        let (mut differing, mut already) = (Vec::new(), 0);
        for round in 0..ROUNDS_MAX {
            let seen = self.look(open, wanted).await?;
            differing = seen.differing;
            let (arrived, open_ones): (Vec<Match>, Vec<Match>) =
                seen.present.into_iter().partition(|found| deed.is_done(&found.located.place.folder));
            if round == 0 {
                already = settle_moves(&mut steps, deed, arrived);
                forget_moved(&mut steps, &before, &open_ones);
            }
            if open_ones.is_empty() || !acts {
                break;
            }
            let wanted_mails = open_ones.len();
            let acted = self.act(open, deed, wanted, open_ones, &mut steps, journal, vault).await?;
            if acted == wanted_mails {
                break;
            }
        }
        let outcome = treated(&wanted.copy, Treated { remedy, steps, differing, already });
        if !acts && outcome.steps.is_empty() {
            return Ok(outcome);
        }
        journal.outcome(&outcome).await.map_err(RemediateError::Journal)?;
        Ok(outcome)
    }

    /// One round: intent, copies into the vault, the deed, proof. Returns how many mails it reached.
    #[allow(clippy::too_many_arguments)]
    async fn act(
        &self,
        open: &mut Open,
        deed: Deed,
        wanted: &Wanted,
        mails: Vec<Match>,
        steps: &mut Vec<Step>,
        journal: &dyn Journal,
        vault: &dyn Vault,
    ) -> Result<usize, RemediateError> {
        let target = match deed.target {
            Some(role) => Some(open.mailbox.folder(role).await?),
            None => None,
        };
        let step_of = |located: &Located| Step {
            vault_key: deed.keeps.then(|| vault_key(&wanted.copy, located)),
            located: located.clone(),
            moved_to: None,
            mark: None,
            restored: None,
        };
        let mut intent = Intent { steps: steps.clone() };
        intent.steps.extend(mails.iter().map(|found| step_of(&found.located)));
        journal.intent(&wanted.copy, &intent).await.map_err(RemediateError::Journal)?;
        let mut reached = 0;
        for found in mails {
            let mut step = step_of(&found.located);
            if let Some(key) = &step.vault_key {
                let mail = StoredMail { located: found.located, raw: found.raw };
                let kept = vault.put(key, &mail).await.map_err(RemediateError::Vault)?;
                if raw_hash(&kept.raw) != mail.located.raw_sha256 {
                    return Err(RemediateError::Vault("another mail is kept under this key".to_owned()));
                }
                // the first copy counts: this one may carry the mark of an interrupted run
                step.located = kept.located;
            }
            let place = &step.located.place;
            let done = match &target {
                Some(target) => {
                    step.moved_to = open.mailbox.relocate(place, target).await?;
                    step.moved_to.is_some()
                }
                None => open.mailbox.destroy(place).await?,
            };
            if done {
                reached += 1;
                steps.push(step);
            }
        }
        Ok(reached)
    }
}

/// Steps of an interrupted run whose mail is not where it was any more. Mails still there are found
/// again by the next look.
async fn gone_before(open: &mut Open, before: Vec<Step>, vault: &dyn Vault) -> Result<Vec<Step>, RemediateError> {
    let mut gone = Vec::new();
    for mut step in before {
        if let Some(key) = &step.vault_key {
            // without a copy nothing was done yet
            let Some(kept) = vault.get(key).await.map_err(RemediateError::Vault)? else { continue };
            step.located = kept.located;
        }
        if !open.mailbox.is_at(&step.located.place).await? {
            gone.push(step);
        }
    }
    Ok(gone)
}

/// Joins mails found at the target with the steps of an interrupted run that brought them there;
/// steps of a move whose mail is not there are dropped. Returns how many were there anyway.
fn settle_moves(steps: &mut Vec<Step>, deed: Deed, arrived: Vec<Match>) -> usize {
    if deed.target.is_none() {
        return 0;
    }
    let mut already = 0;
    for found in arrived {
        let fits = |step: &&mut Step| step.moved_to.is_none() && step.located.raw_sha256 == found.located.raw_sha256;
        match steps.iter_mut().find(fits) {
            Some(step) => step.moved_to = Some(found.located.place),
            None => already += 1,
        }
    }
    steps.retain(|step| step.moved_to.is_some());
    already
}

/// Drops steps of an interrupted run whose mail turns up where that run had not seen it: it was not
/// taken out but moved by its owner, and must not be put back twice later.
fn forget_moved(gone: &mut Vec<Step>, before: &[Step], present: &[Match]) {
    for found in present.iter().map(|found| &found.located) {
        if before.iter().any(|step| step.located.place == found.place) {
            continue;
        }
        let moved = gone.iter().position(|step| {
            step.moved_to.is_none()
                && step.located.raw_sha256 == found.raw_sha256
                && step.located.internal_date == found.internal_date
        });
        if let Some(at) = moved {
            gone.remove(at);
        }
    }
}

fn vault_key(copy: &MessageCopyRef, located: &Located) -> String {
    let place = serde_json::to_string(&located.place.id).unwrap_or_default();
    let text = format!(
        "{}\0{}\0{}\0{}\0{place}\0{}",
        copy.message_id, copy.recipient, located.mailbox, located.place.folder.id, located.raw_sha256
    );
    raw_hash(text.as_bytes())
}
