//! What may happen without a person, in which hours, and what when nobody answers.

use crate::alert::words;
use crate::{AutomationLevel, Text, Timestamp};
use serde::{Deserialize, Serialize};

/// Hours a pending action waits unless set otherwise; reference: 7 days.
pub const EXPIRY_HOURS: u32 = 7 * 24;
/// Hours before a pending action expires at which approvers are told, unless set otherwise.
pub const NOTICE_HOURS: u32 = 24;
/// Message copies an investigation may treat without a person, unless set otherwise: what reaches more
/// people may be wanted.
pub const COPIES_UNATTENDED: u32 = 100;
/// Devices an investigation may act on without a person, unless set otherwise (reference: 10).
pub const DEVICES_UNATTENDED: u32 = 10;

words! {
    /// Day of the week.
    Weekday {
        /// Monday.
        Mon,
        /// Tuesday.
        Tue,
        /// Wednesday.
        Wed,
        /// Thursday.
        Thu,
        /// Friday.
        Fri,
        /// Saturday.
        Sat,
        /// Sunday.
        Sun,
    }
    /// What happens to an action nobody answers in time.
    UnansweredThen {
        /// Nothing: it waits until it expires.
        Wait,
        /// It runs, when its evidence and the guard rails let it; otherwise it is escalated.
        Run,
        /// It expires.
        Expire,
        /// Others are told, and it waits on.
        Escalate,
    }
}

/// What happens to an action nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Unanswered {
    /// What happens.
    pub then: UnansweredThen,
    /// After so many minutes, 1 to 43,200; without meaning for `wait`.
    #[serde(default)]
    pub minutes: u32,
}

impl Default for Unanswered {
    fn default() -> Self {
        Unanswered { then: UnansweredThen::Wait, minutes: 0 }
    }
}

/// Hours in which something else holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AutomationHours {
    /// Days they begin on.
    pub days: Vec<Weekday>,
    /// Begin (`22:00`).
    pub from: String,
    /// End (`06:00`); not after the begin = on the next day.
    pub to: String,
    /// The level then; none = the same as outside of them.
    #[serde(default)]
    pub level: Option<AutomationLevel>,
    /// What happens then when nobody answers; none = the same as outside of them.
    #[serde(default)]
    pub unanswered: Option<Unanswered>,
}

/// What holds for a device group, for the other devices, or for mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AutomationScope {
    /// Automation level; none = the server's.
    pub level: Option<AutomationLevel>,
    /// What happens when nobody answers.
    pub unanswered: Unanswered,
    /// Hours in which something else holds; the first that fits counts.
    pub hours: Vec<AutomationHours>,
}

/// Devices with one of these tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AutomationGroup {
    /// Name, 1 to 64 characters.
    pub name: String,
    /// Tags, one of which a device must have.
    pub device_tags: Vec<String>,
    /// What holds for them.
    #[serde(default)]
    pub rules: AutomationScope,
}

/// What is never acted on without a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GuardRails {
    /// Processes besides those of the operating system: a name (`postgres`) or a path.
    pub processes: Vec<String>,
    /// Devices, by name.
    pub devices: Vec<String>,
    /// Devices with one of these tags.
    pub device_tags: Vec<String>,
    /// Mailboxes, by address; those of the configuration file are protected too.
    pub mailboxes: Vec<String>,
    /// Message copies one investigation may treat.
    pub copies_max: u32,
    /// Devices one investigation may act on.
    pub devices_max: u32,
}

impl Default for GuardRails {
    fn default() -> Self {
        GuardRails {
            processes: Vec::new(),
            devices: Vec::new(),
            device_tags: Vec::new(),
            mailboxes: Vec::new(),
            copies_max: COPIES_UNATTENDED,
            devices_max: DEVICES_UNATTENDED,
        }
    }
}

/// What may happen without a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AutomationPolicy {
    /// Time zone of the hours: `server`, a name (`Asia/Tokyo`) or an offset (`+09:00`).
    pub time_zone: String,
    /// Device groups; the first that fits counts.
    pub groups: Vec<AutomationGroup>,
    /// Devices of no group.
    pub devices: AutomationScope,
    /// Mail: messages, senders, and what no device is concerned with.
    pub mail: AutomationScope,
    /// What is never acted on without a person.
    pub guards: GuardRails,
    /// Kinds of actions two different persons must approve (`isolate_device`).
    pub two_persons: Vec<String>,
    /// Hours a pending action waits until it expires, 1 to 2,160.
    pub expiry_hours: u32,
    /// Hours before that at which approvers are told; 0 = they are not.
    pub notice_hours: u32,
    /// Who changed it last; empty = nobody.
    pub changed_by: String,
    /// When.
    pub changed_at: Option<Timestamp>,
    /// Grows by one with every change (ETag); 0 = never changed.
    pub version: i64,
}

impl Default for AutomationPolicy {
    fn default() -> Self {
        AutomationPolicy {
            time_zone: "server".to_owned(),
            groups: Vec::new(),
            devices: AutomationScope::default(),
            mail: AutomationScope::default(),
            guards: GuardRails::default(),
            two_persons: Vec::new(),
            expiry_hours: EXPIRY_HOURS,
            notice_hours: NOTICE_HOURS,
            changed_by: String::new(),
            changed_at: None,
            version: 0,
        }
    }
}

/// On what an investigation proposed an action: what automation is judged by, then and later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Grounds {
    /// The evidence suffices for an act without a person.
    pub sure: bool,
    /// Where the file or the program lies.
    pub paths: Vec<String>,
    /// A person started the investigation: every action waits.
    pub by_hand: bool,
    /// What about its targets asks for a person (a newsletter); none = nothing.
    #[serde(default)]
    pub asks: Option<Text>,
}

/// One person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GivenApproval {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Remark.
    pub comment: Option<String>,
}

/// A line of an action's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionNote {
    /// When.
    pub at: Timestamp,
    /// Who: a person, `system` or `automation:full`.
    pub by: String,
    /// What, and why.
    pub text: Text,
}

/// What happens to a pending action by itself, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Turn {
    /// What.
    pub then: UnansweredThen,
    /// When.
    pub at: Timestamp,
}

/// How an action came to run, or did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Approval {
    /// Different persons who must approve, 1 or 2.
    pub needed: u32,
    /// Who approved.
    pub given: Vec<GivenApproval>,
    /// On what it was proposed; none = by a person.
    pub grounds: Option<Grounds>,
    /// What happens when nobody answers.
    pub unanswered: Option<Turn>,
    /// When approvers are told that it expires soon; none once they were.
    pub notice_at: Option<Timestamp>,
    /// When they were.
    pub noticed_at: Option<Timestamp>,
    /// When others were told that nobody answers.
    pub escalated_at: Option<Timestamp>,
    /// The action that was ordered in its place after it expired or was declined.
    pub again: Option<crate::ActionId>,
    /// What was decided, oldest first, at most 50 lines.
    pub history: Vec<ActionNote>,
}

impl Default for Approval {
    fn default() -> Self {
        Approval {
            needed: 1,
            given: Vec::new(),
            grounds: None,
            unanswered: None,
            notice_at: None,
            noticed_at: None,
            escalated_at: None,
            again: None,
            history: Vec::new(),
        }
    }
}

impl Approval {
    /// Lines kept.
    pub const HISTORY_MAX: usize = 50;

    /// Writes a line.
    pub fn note(&mut self, at: Timestamp, by: &str, text: Text) {
        if self.history.len() >= Approval::HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(ActionNote { at, by: by.to_owned(), text });
    }

    /// When somebody has to look at the pending action next; none = only when it expires.
    pub fn due_at(&self) -> Option<Timestamp> {
        [self.unanswered.map(|turn| turn.at), self.notice_at].into_iter().flatten().min()
    }
}
