//! Notifications: what was told to whom outside the console, and what the other side answered.

use crate::alert::words;
use crate::{NotificationId, Severity, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// What a notification is about.
    NotificationKind {
        /// An alert: its incident is new, or its severity has risen.
        Alert,
        /// Nobody has taken an incident in time.
        Escalation,
        /// An action waits for a person.
        Approval,
        /// It expires soon.
        ApprovalExpiring,
        /// Nobody has answered in time.
        ApprovalUnanswered,
        /// A device has not been heard of.
        DeviceSilent,
        /// A mail system cannot be reached.
        ConnectorBroken,
        /// What was held back, together.
        Digest,
        /// Somebody tries a channel.
        Test,
    }
    /// What became of a notification.
    NotificationState {
        /// On its way; tried again until it is taken.
        Pending,
        /// The other side took it.
        Sent,
        /// Waits for the next digest of its channel.
        Held,
        /// A digest told it.
        Digested,
        /// Given up; it can be sent again.
        Failed,
        /// There was nothing to be told any more.
        Dropped,
    }
}

/// One notification to one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notification {
    /// Id; the same for every try, also in what is sent.
    pub id: NotificationId,
    /// Channel.
    pub channel: String,
    /// Rule that asked for it; empty = none.
    pub rule: String,
    /// What it is about.
    pub kind: NotificationKind,
    /// Severity, of alerts.
    pub severity: Option<Severity>,
    /// Number of the incident.
    pub incident: Option<i64>,
    /// Id of what it is about: alert, action or device; the name of a mail system.
    pub subject: String,
    /// What became of it.
    pub state: NotificationState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Tries.
    pub attempts: i64,
    /// When it was tried last.
    pub tried_at: Option<Timestamp>,
    /// The digest that told it.
    pub digest: Option<NotificationId>,
    /// What the other side answered, or why it could not be asked (untrusted).
    pub answer: String,
}
