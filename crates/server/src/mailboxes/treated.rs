//! What an action did to mailboxes, late copies and what was cut short included: that is what an undo
//! puts back.

use super::journal::StoreJournal;
use super::{Homes, Mailboxes, Reading, Reason, by_system};
use anyhow::{Context, Result};
use hinomi_mail::remediate::{Outcome, Step, Wanted};
use hinomi_model::{ActionId, MessageCopyRef};
use std::collections::BTreeMap;

impl Mailboxes {
    /// Returns what `action` did to the copies `open` wants, one outcome per copy.
    pub(super) async fn treated(
        &self,
        homes: &Homes,
        action: ActionId,
        open: &(dyn Fn(&MessageCopyRef) -> bool + Send + Sync),
    ) -> Result<Vec<Outcome>> {
        let mut entries = vec![action];
        entries.extend(self.store.late_of_action(action).await?.into_iter().map(|late| late.id));
        let mut all: BTreeMap<MessageCopyRef, Outcome> = BTreeMap::new();
        for entry in entries {
            self.settle_begun(homes, action, entry, open).await?;
            let journal = StoreJournal::open(&self.store, entry).await.context("read mail journal")?;
            for outcome in journal.outcomes().into_iter().filter(|outcome| open(&outcome.copy)) {
                match all.get_mut(&outcome.copy) {
                    Some(known) => add(&mut known.steps, outcome.steps),
                    None => drop(all.insert(outcome.copy.clone(), outcome)),
                }
            }
        }
        Ok(all.into_values().collect())
    }

    /// Finds out what became of copies that were begun and never settled: their mailbox did not answer
    /// any more.
    async fn settle_begun(
        &self,
        homes: &Homes,
        action: ActionId,
        entry: ActionId,
        open: &(dyn Fn(&MessageCopyRef) -> bool + Send + Sync),
    ) -> Result<()> {
        let begun = self.store.journal_open(entry).await?;
        let spec = self.store.action(action).await?.map(|action| action.spec);
        let Some((remedy, _)) = spec.as_ref().and_then(|spec| spec.message_remedy()) else { return Ok(()) };
        let mut wanted: Vec<(usize, Wanted)> = Vec::new();
        for row in begun.into_iter().filter(|row| open(&row.copy)) {
            let copy = self.store.message(row.copy.message_id, &row.copy.recipient).await?;
            wanted.extend(copy.and_then(|copy| homes.wanted(&copy)));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let reading = Reading::by_system(Reason::Action(action));
        self.on_record(&reading, wanted.iter().map(|(_, wanted)| wanted.mailbox.as_str())).await?;
        let journal = StoreJournal::open(&self.store, entry).await.context("read mail journal")?;
        for (system, begun) in by_system(wanted.into_iter()) {
            self.systems[system].engine.settle(remedy, begun, &journal, &self.vault, &|_| {}).await;
        }
        Ok(())
    }
}

/// Adds what was done to a copy later. A mail that was moved, moved back and moved again is put back
/// once, from where it is now.
fn add(known: &mut Vec<Step>, later: Vec<Step>) {
    for step in later {
        known.retain(|old| {
            let moved_again = old.moved_to.is_some() && old.located.raw_sha256 == step.located.raw_sha256;
            !moved_again
        });
        known.push(step);
    }
}
