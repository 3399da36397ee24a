//! Block and remediate: what is already there is taken away, by ordinary actions.
//!
//! The administrator's word stands beside that of the devices. What reaches many people, or what the guard
//! rails of the automation policy protect, waits for a person.

use super::found::{Kept, Seen};
use super::save;
use crate::actions::{self, ActionError, Proposal};
use crate::app::Ctx;
use crate::automation::Rules;
use anyhow::Result;
use hinomi_cases::is_system_path;
use hinomi_cases::playbook::{COPIES_UNATTENDED_MAX, DEVICES_UNATTENDED_MAX};
use hinomi_model::{
    ActionSpec, DeliveryAction, DeliveryLocation, Grounds, Indicator, IndicatorAction, IndicatorKind, IndicatorLook,
    LookFound, MessageCopy, MessageCopyRef, Text,
};

/// Copies of one action.
const COPIES_TOGETHER: usize = 2_000;

/// Orders what takes away what was found.
pub(super) async fn order(ctx: &Ctx, look: &mut IndicatorLook, kept: &Kept) -> Result<()> {
    for at in 0..look.found.len() {
        let one = &look.found[at];
        if one.action != IndicatorAction::BlockAndRemediate || !(one.actions.is_empty() && one.not_ordered.is_empty()) {
            continue;
        }
        let (Some(indicator), Some(seen)) = (ctx.store.indicator(one.id).await?, kept.seen.get(&one.id)) else {
            continue;
        };
        let mut orders = Orders { ctx, look: look.id.to_string(), indicator: &indicator, found: one.clone() };
        orders.mail(seen).await?;
        orders.files(seen).await?;
        look.found[at] = orders.found;
        save(ctx, look, kept).await?;
    }
    Ok(())
}

struct Orders<'a> {
    ctx: &'a Ctx,
    look: String,
    indicator: &'a Indicator,
    found: LookFound,
}

impl Orders<'_> {
    async fn mail(&mut self, seen: &Seen) -> Result<()> {
        let mut copies: Vec<MessageCopyRef> = Vec::new();
        let mut bulk = false;
        for id in &seen.messages {
            for copy in self.ctx.store.message_copies(*id).await? {
                if self.is_there(&copy) {
                    bulk |= copy.bulk;
                    copies.push(MessageCopyRef { message_id: copy.message_id, recipient: copy.recipient });
                }
            }
        }
        let count = copies.len();
        let reason = Text::new(
            format!("{count} mailboxes hold mail with {}, which is blocked.", self.indicator.spec.value),
            format!(
                "ブロック対象の {} を含むメールが {count} 個のメールボックスにあります。",
                self.indicator.spec.value
            ),
        );
        let few = count <= COPIES_UNATTENDED_MAX && !bulk;
        for (part, copies) in copies.chunks(COPIES_TOGETHER).enumerate() {
            let spec = ActionSpec::SoftDeleteMessages { copies: copies.to_vec(), senders_copy: false };
            self.propose(spec, reason.clone(), few, &format!("mail:{part}")).await?;
        }
        Ok(())
    }

    /// True for a copy that reached its mailbox, is still there and is meant.
    fn is_there(&self, copy: &MessageCopy) -> bool {
        let domain = copy.recipient.rsplit_once('@').map(|(_, domain)| domain.to_lowercase()).unwrap_or_default();
        let there = matches!(
            copy.latest_location,
            DeliveryLocation::Inbox
                | DeliveryLocation::JunkFolder
                | DeliveryLocation::DeletedItems
                | DeliveryLocation::Unknown
        );
        there && copy.delivery_action != DeliveryAction::Blocked && self.indicator.spec.scope.has_mail(&[domain])
    }

    async fn files(&mut self, seen: &Seen) -> Result<()> {
        if self.indicator.spec.kind != IndicatorKind::FileSha256 {
            return Ok(());
        }
        let few = seen.devices.len() as i64 <= DEVICES_UNATTENDED_MAX;
        for (device_id, paths) in &seen.devices {
            let paths: Vec<String> = paths.iter().filter(|path| !is_system_path(path)).cloned().collect();
            if paths.is_empty() {
                continue;
            }
            let reason =
                Text::new("A file that is blocked lies on the device.", "ブロック対象のファイルがデバイスにあります。");
            let sha256 = self.indicator.spec.value.to_ascii_lowercase();
            let spec = ActionSpec::QuarantineFile { device_id: *device_id, sha256, paths };
            self.propose(spec, reason, few, &format!("file:{device_id}")).await?;
        }
        Ok(())
    }

    /// Proposes an action; it runs at once when it reaches few and a person put the indicator in force.
    async fn propose(&mut self, spec: ActionSpec, reason: Text, few: bool, part: &str) -> Result<()> {
        let grounds = Grounds {
            sure: true,
            paths: match &spec {
                ActionSpec::QuarantineFile { paths, .. } => paths.clone(),
                _ => Vec::new(),
            },
            by_hand: false,
            asks: None,
        };
        let mut tx = self.ctx.store.begin().await?;
        let device = match actions::device_of(&spec) {
            Some(id) => tx.device(id).await?,
            None => None,
        };
        let few = few && Rules::load(self.ctx, &mut tx).await?.holds(&spec, &grounds, device.as_ref()).is_none();
        drop(tx);
        let by = self.indicator.created_by.as_str();
        let person = !by.starts_with(super::super::FEED_PREFIX);
        let remark = format!("indicator {}", self.indicator.id);
        let proposal = Proposal {
            spec,
            reason,
            by,
            incident: self.found.incidents.first().copied().or(self.indicator.incident_id),
            investigation: None,
            idempotency_key: Some(format!("look:{}:{}:{part}", self.look, self.indicator.id)),
            approve_now: (few && person).then_some((by, Some(remark))),
            signs: Vec::new(),
            grounds: None,
            again: None,
        };
        match actions::propose(self.ctx, proposal).await {
            Ok(action) => self.found.actions.push(action.id),
            Err(ActionError::Store(error)) => return Err(error.into()),
            Err(error) => self.found.not_ordered.push(error.text()),
        }
        Ok(())
    }
}
