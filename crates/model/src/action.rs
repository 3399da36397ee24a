//! Actions: something we did or propose, with approval, receipts and undo.

use crate::alert::words;
use crate::{
    ActionId, Approval, DeliveryLocation, DeviceId, EntityKey, IncidentId, IndicatorId, IndicatorSpec, InvestigationId,
    MessageId, ProcessKey, Text, Timestamp,
};
use serde::{Deserialize, Serialize};

/// What to do, ready to be run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ActionSpec {
    /// Take every copy of these messages out of the users' sight; restorable. Undo: restore.
    SoftDeleteMessages {
        /// Copies to remove: message and recipient.
        copies: Vec<MessageCopyRef>,
        /// Also the sender's own copy in the sent items, when the sender has a mailbox here.
        #[serde(default)]
        senders_copy: bool,
    },
    /// Remove every copy of these messages for good. Needs step-up; cannot be undone.
    HardDeleteMessages {
        /// As in a soft delete.
        copies: Vec<MessageCopyRef>,
        /// As in a soft delete.
        #[serde(default)]
        senders_copy: bool,
    },
    /// Take every copy of these messages into Hinomi's quarantine. Undo: restore.
    QuarantineMessages {
        /// As in a soft delete.
        copies: Vec<MessageCopyRef>,
        /// As in a soft delete.
        #[serde(default)]
        senders_copy: bool,
    },
    /// Move every copy of these messages into the junk folder. Undo: restore.
    MoveMessagesToJunk {
        /// Copies to move: message and recipient.
        copies: Vec<MessageCopyRef>,
    },
    /// Move copies of these messages from junk or deleted items into the inbox. Undo: restore.
    MoveMessagesToInbox {
        /// Copies to move: message and recipient.
        copies: Vec<MessageCopyRef>,
    },
    /// Move every copy of these messages into the deleted items. Undo: restore.
    MoveMessagesToDeletedItems {
        /// Copies to move: message and recipient.
        copies: Vec<MessageCopyRef>,
    },
    /// Put removed copies back, with flags and date.
    RestoreMessages {
        /// The action whose receipts are undone.
        action_id: ActionId,
    },
    /// Stop a process and all its descendants. Cannot be undone.
    StopProcessTree {
        /// Root of the tree.
        process: ProcessKey,
    },
    /// Move every file with this hash out of reach. Undo: restore file.
    QuarantineFile {
        /// Device.
        device_id: DeviceId,
        /// SHA-256 of the file, lower-case hex.
        sha256: String,
        /// Paths where it was seen.
        paths: Vec<String>,
    },
    /// Put a quarantined file back.
    RestoreFile {
        /// Device.
        device_id: DeviceId,
        /// SHA-256 of the file.
        sha256: String,
    },
    /// Cut the device off from everything but the server. Undo: release.
    IsolateDevice {
        /// Device.
        device_id: DeviceId,
        /// Seconds until it releases itself; at most 7 days.
        lease_seconds: i64,
    },
    /// End isolation.
    ReleaseDevice {
        /// Device.
        device_id: DeviceId,
    },
    /// Block or allow a value everywhere: sensors (hash) and gateway (hash, URL, domain, sender).
    /// Undo: the indicator is removed.
    AddIndicator {
        /// The indicator to add.
        indicator: IndicatorSpec,
    },
    /// Remove an indicator.
    RemoveIndicator {
        /// The indicator.
        indicator_id: IndicatorId,
    },
    /// Ask the sensor for its state.
    CollectStatus {
        /// Device.
        device_id: DeviceId,
    },
}

impl ActionSpec {
    /// Every kind, as in JSON.
    pub const KINDS: &'static [&'static str] = &[
        "soft_delete_messages",
        "hard_delete_messages",
        "quarantine_messages",
        "move_messages_to_junk",
        "move_messages_to_inbox",
        "move_messages_to_deleted_items",
        "restore_messages",
        "stop_process_tree",
        "quarantine_file",
        "restore_file",
        "isolate_device",
        "release_device",
        "add_indicator",
        "remove_indicator",
        "collect_status",
    ];

    /// Returns the kind as in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            ActionSpec::SoftDeleteMessages { .. } => "soft_delete_messages",
            ActionSpec::HardDeleteMessages { .. } => "hard_delete_messages",
            ActionSpec::QuarantineMessages { .. } => "quarantine_messages",
            ActionSpec::MoveMessagesToJunk { .. } => "move_messages_to_junk",
            ActionSpec::MoveMessagesToInbox { .. } => "move_messages_to_inbox",
            ActionSpec::MoveMessagesToDeletedItems { .. } => "move_messages_to_deleted_items",
            ActionSpec::RestoreMessages { .. } => "restore_messages",
            ActionSpec::StopProcessTree { .. } => "stop_process_tree",
            ActionSpec::QuarantineFile { .. } => "quarantine_file",
            ActionSpec::RestoreFile { .. } => "restore_file",
            ActionSpec::IsolateDevice { .. } => "isolate_device",
            ActionSpec::ReleaseDevice { .. } => "release_device",
            ActionSpec::AddIndicator { .. } => "add_indicator",
            ActionSpec::RemoveIndicator { .. } => "remove_indicator",
            ActionSpec::CollectStatus { .. } => "collect_status",
        }
    }

    /// True when undo exists for this kind.
    pub fn can_undo(&self) -> bool {
        match self.message_remedy() {
            Some((remedy, _)) => remedy.can_undo(),
            None => matches!(
                self,
                ActionSpec::QuarantineFile { .. } | ActionSpec::IsolateDevice { .. } | ActionSpec::AddIndicator { .. }
            ),
        }
    }

    /// Builds the action that does a remedy to copies of messages.
    pub fn of_remedy(remedy: MessageRemedy, copies: Vec<MessageCopyRef>, senders_copy: bool) -> ActionSpec {
        match remedy {
            MessageRemedy::SoftDelete => ActionSpec::SoftDeleteMessages { copies, senders_copy },
            MessageRemedy::HardDelete => ActionSpec::HardDeleteMessages { copies, senders_copy },
            MessageRemedy::MoveToQuarantine => ActionSpec::QuarantineMessages { copies, senders_copy },
            MessageRemedy::MoveToJunk => ActionSpec::MoveMessagesToJunk { copies },
            MessageRemedy::MoveToInbox => ActionSpec::MoveMessagesToInbox { copies },
            MessageRemedy::MoveToDeletedItems => ActionSpec::MoveMessagesToDeletedItems { copies },
        }
    }

    /// What is done to which copies of messages, when that is what the action does.
    pub fn message_remedy(&self) -> Option<(MessageRemedy, &[MessageCopyRef])> {
        Some(match self {
            ActionSpec::SoftDeleteMessages { copies, .. } => (MessageRemedy::SoftDelete, copies),
            ActionSpec::HardDeleteMessages { copies, .. } => (MessageRemedy::HardDelete, copies),
            ActionSpec::QuarantineMessages { copies, .. } => (MessageRemedy::MoveToQuarantine, copies),
            ActionSpec::MoveMessagesToJunk { copies } => (MessageRemedy::MoveToJunk, copies),
            ActionSpec::MoveMessagesToInbox { copies } => (MessageRemedy::MoveToInbox, copies),
            ActionSpec::MoveMessagesToDeletedItems { copies } => (MessageRemedy::MoveToDeletedItems, copies),
            _ => return None,
        })
    }

    /// True when the sender's own copies are meant too.
    pub fn senders_copy(&self) -> bool {
        matches!(
            self,
            ActionSpec::SoftDeleteMessages { senders_copy: true, .. }
                | ActionSpec::HardDeleteMessages { senders_copy: true, .. }
                | ActionSpec::QuarantineMessages { senders_copy: true, .. }
        )
    }
}

words! {
    /// What is done with the copies of a message; words of the reference (`analyzedEmail: remediate`).
    MessageRemedy {
        /// Into the junk folder.
        MoveToJunk,
        /// Out of junk or deleted items into the inbox.
        MoveToInbox,
        /// Into the deleted items.
        MoveToDeletedItems,
        /// Out of the user's sight; can be put back.
        SoftDelete,
        /// Removed for good; cannot be put back.
        HardDelete,
        /// Out of the user's sight, with a copy in Hinomi's quarantine; can be put back.
        MoveToQuarantine,
    }
}

impl MessageRemedy {
    /// True when the copies can be put back.
    pub fn can_undo(self) -> bool {
        self != MessageRemedy::HardDelete
    }

    /// Where a copy is after it; late copies found elsewhere are treated again.
    pub fn target(self) -> DeliveryLocation {
        match self {
            MessageRemedy::MoveToJunk => DeliveryLocation::JunkFolder,
            MessageRemedy::MoveToInbox => DeliveryLocation::Inbox,
            MessageRemedy::MoveToDeletedItems => DeliveryLocation::DeletedItems,
            MessageRemedy::SoftDelete | MessageRemedy::MoveToQuarantine => DeliveryLocation::Quarantine,
            MessageRemedy::HardDelete => DeliveryLocation::Dropped,
        }
    }

    /// True when the copies leave the user's sight.
    pub fn removes(self) -> bool {
        matches!(self, MessageRemedy::SoftDelete | MessageRemedy::HardDelete | MessageRemedy::MoveToQuarantine)
    }
}

/// One mailbox copy of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageCopyRef {
    /// NetworkMessageId.
    pub message_id: MessageId,
    /// Recipient, lower case.
    pub recipient: String,
}

words! {
    /// State of an action.
    ActionState {
        /// Waits for a person.
        PendingApproval,
        /// A person said no.
        Declined,
        /// Approved, waits to run (the device may be offline).
        Queued,
        /// Runs.
        Running,
        /// A person holds it; what was begun is finished, the rest waits.
        Paused,
        /// A person stops it; what was begun is finished.
        Cancelling,
        /// Every target succeeded.
        Succeeded,
        /// Some targets succeeded.
        PartiallySucceeded,
        /// No target succeeded.
        Failed,
        /// Nobody approved in time, or the device did not come back in time.
        Expired,
        /// Withdrawn before it ran, or stopped before every target was treated.
        Cancelled,
        /// Undone again.
        Undone,
    }
    /// State of one target of an action.
    ReceiptState {
        /// Not yet tried.
        Pending,
        /// Handed to whoever does it.
        Running,
        /// Done and proved.
        Done,
        /// It was already so.
        AlreadyDone,
        /// The target is no longer there.
        NotFound,
        /// Failed, with a reason.
        Failed,
        /// Never tried: the action was stopped before.
        Cancelled,
        /// Undone again.
        Undone,
    }
    /// How a late copy came.
    LateCause {
        /// The same mail was delivered again, or to somebody else.
        Delivered,
        /// It was moved back, or put back by a mail program.
        Returned,
    }
}

/// What happened to one target of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The target: device, message copy, file, indicator.
    pub target: EntityKey,
    /// State.
    pub state: ReceiptState,
    /// What happened, or why it failed.
    pub detail: Text,
    /// Proof of the one who did it (COPYUID numbers, killed pids, paths), as a JSON object in text.
    pub proof: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Receipt {
    /// True while nothing is known of what became of the target.
    pub fn is_open(&self) -> bool {
        matches!(self.state, ReceiptState::Pending | ReceiptState::Running)
    }
}

/// What was done to one late copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LateReceipt {
    /// How it came.
    pub cause: LateCause,
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// What became of it.
    pub receipt: Receipt,
}

/// A mail action that stays armed: the same mail (Message-ID and content) delivered or moved back
/// later is found and treated the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FollowUp {
    /// Armed until then.
    pub until: Timestamp,
    /// Who disarmed it before.
    pub disarmed_by: Option<String>,
    /// When it was disarmed.
    pub disarmed_at: Option<Timestamp>,
    /// Late copies, oldest first; one may come back several times.
    pub receipts: Vec<LateReceipt>,
}

impl FollowUp {
    /// True while late copies are treated.
    pub fn is_armed(&self, now: Timestamp) -> bool {
        self.disarmed_at.is_none() && now < self.until
    }
}

/// Something we did or propose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Action {
    /// Id.
    pub id: ActionId,
    /// What to do.
    pub spec: ActionSpec,
    /// State.
    pub state: ActionState,
    /// Why it is proposed.
    pub reason: Text,
    /// Who proposed it: a person, `investigation:<number>` or `system`.
    pub proposed_by: String,
    /// Who decided (approved or declined): a person or `automation:full`.
    pub decided_by: Option<String>,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// Remark with the decision.
    pub comment: Option<String>,
    /// Who approved, what automation decided, what happens when nobody answers.
    #[serde(default)]
    pub approval: Approval,
    /// Incident it belongs to.
    pub incident_id: Option<IncidentId>,
    /// Investigation it belongs to.
    pub investigation_id: Option<InvestigationId>,
    /// One per target.
    pub receipts: Vec<Receipt>,
    /// Late copies; none for what is not armed, and before it runs.
    #[serde(default)]
    pub follow_up: Option<FollowUp>,
    /// The action that undoes this one, once ordered.
    pub undone_by: Option<ActionId>,
    /// The action this one undoes.
    pub undoes: Option<ActionId>,
    /// When it was proposed.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When it expires if nothing happens. Reference: pending actions expire after 7 days.
    pub expires_at: Timestamp,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

impl Action {
    /// Derives the state of a running action from its receipts; `None` while targets are open.
    pub fn state_of_receipts(&self) -> Option<ActionState> {
        if self.receipts.iter().any(Receipt::is_open) {
            return None;
        }
        if self.receipts.iter().any(|receipt| receipt.state == ReceiptState::Cancelled) {
            return Some(ActionState::Cancelled);
        }
        let failed = self.receipts.iter().filter(|receipt| receipt.state == ReceiptState::Failed).count();
        Some(match failed {
            0 => ActionState::Succeeded,
            all if all == self.receipts.len() => ActionState::Failed,
            _ => ActionState::PartiallySucceeded,
        })
    }

    /// Every receipt, those of late copies too.
    pub fn all_receipts(&self) -> impl Iterator<Item = &Receipt> {
        let late = self.follow_up.iter().flat_map(|follow_up| &follow_up.receipts);
        self.receipts.iter().chain(late.map(|late| &late.receipt))
    }

    /// True while late copies are treated.
    pub fn is_armed(&self, now: Timestamp) -> bool {
        self.follow_up.as_ref().is_some_and(|follow_up| follow_up.is_armed(now))
    }
}
