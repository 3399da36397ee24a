//! The mail explorer, and verdicts of other scanners.

use hinomi_model::{
    DeliveryAction, DeliveryLocation, EntityKey, FilterVerdict, MessageCopy, MessageId, MessageRemedy, ThreatType,
    Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What the explorer takes besides the conditions. A condition is a parameter named after a field
/// with values separated by commas (`sender_domain=a.example,b.example`); `not.` before the name
/// negates it (`not.location=quarantine`). In `subject`, `text`, `url`, `url_path`,
/// `attachment_name`, `sender_name` and `engine_verdict` a comma is part of the one value.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ExplorerQuery {
    /// Received at or after.
    pub from: Option<Timestamp>,
    /// Received before.
    pub to: Option<Timestamp>,
    /// Cursor of the page before.
    pub cursor: Option<String>,
    /// Page size, at most 200; groups at most 100.
    pub limit: Option<u32>,
}

/// How groups are made.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct GroupQuery {
    /// `campaign` (default), `subject`, `body`, `sender`, `urls` or `attachments`.
    pub group_by: Option<String>,
}

/// How counts are split.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PivotQuery {
    /// `delivery_action` (default), `location`, `original_location`, `direction`, `source`, `verdict`, `threat`,
    /// `spf`, `dkim`, `dmarc`, `sender_domain`, `sender_ip`, `url_domain` or `recipient`.
    pub pivot: Option<String>,
}

/// A recipient of a message and where its copy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecipientState {
    /// Recipient.
    pub recipient: String,
    /// What the gateway did.
    pub delivery_action: DeliveryAction,
    /// Where it was delivered to.
    pub delivery_location: DeliveryLocation,
    /// Where it is now.
    pub latest_location: DeliveryLocation,
    /// Folder it was last seen in.
    pub folder: Option<String>,
    /// Who moved it last.
    pub moved_by: Option<String>,
    /// When that was noticed.
    pub moved_at: Option<Timestamp>,
}

impl RecipientState {
    /// State of a copy.
    pub fn of(copy: &MessageCopy) -> Self {
        RecipientState {
            recipient: copy.recipient.clone(),
            delivery_action: copy.delivery_action,
            delivery_location: copy.delivery_location,
            latest_location: copy.latest_location,
            folder: copy.folder.clone(),
            moved_by: copy.moved_by.clone(),
            moved_at: copy.moved_at,
        }
    }
}

/// One message of the explorer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplorerMessage {
    /// The message, as its first matching recipient has it.
    pub message: MessageCopy,
    /// Its recipients, at most 50, those that match first.
    pub recipients: Vec<RecipientState>,
    /// How many recipients it has.
    pub recipient_count: i64,
}

/// A page of the explorer, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplorerPage {
    /// The messages. A page may have fewer than asked for, even none, and still a cursor: the
    /// search goes on there.
    pub items: Vec<ExplorerMessage>,
    /// Cursor of the next page; none at the end.
    pub next: Option<String>,
    /// How many messages match.
    pub total: i64,
    /// False: at least so many.
    pub total_exact: bool,
}

/// Messages alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplorerGroup {
    /// Same for the same group, whatever the filter; of a campaign its id.
    pub key: String,
    /// Messages of it that match.
    pub messages: i64,
    /// Their recipients.
    pub recipients: i64,
    /// Oldest of them.
    pub first: Timestamp,
    /// Newest of them.
    pub last: Timestamp,
    /// The newest one.
    pub sample: ExplorerMessage,
}

/// The largest groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplorerGroups {
    /// Largest first.
    pub items: Vec<ExplorerGroup>,
    /// Messages with nothing to be grouped by.
    pub alone: i64,
    /// Only messages from here on are grouped: there were too many; none = all of them.
    pub since: Option<Timestamp>,
}

/// A value and how many messages have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValueCount {
    /// The value.
    pub value: String,
    /// Messages.
    pub count: i64,
}

/// Messages of one span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplorerBucket {
    /// Its beginning.
    pub start: Timestamp,
    /// Messages in it.
    pub total: i64,
    /// Messages per value of the pivot, for enumerations.
    pub values: Vec<ValueCount>,
}

/// Messages over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplorerCounts {
    /// Length of a bucket in hours.
    pub bucket_hours: i64,
    /// Oldest first; spans without messages are left out. The first and last may reach beyond the time asked for.
    pub buckets: Vec<ExplorerBucket>,
    /// How many messages match.
    pub total: i64,
    /// False: at least so many.
    pub total_exact: bool,
    /// Messages per value of the pivot, most frequent first, at most 20.
    pub values: Vec<ValueCount>,
    /// Buckets begin here: there were too many; none = all of them.
    pub since: Option<Timestamp>,
}

/// Who reads the header of a message says why; it is put on record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadHeader {
    /// Why, 1 to 500 characters.
    pub reason: String,
    /// Whose copy; left out: the first that is found.
    #[serde(default)]
    pub recipient: Option<String>,
}

/// The header of a message, read from a mailbox or from what was kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageHeader {
    /// Whose copy.
    pub recipient: String,
    /// Folder it lies in; null: it was taken out or stopped, and read from what was kept.
    pub folder: Option<String>,
    /// When it was read.
    pub read_at: Timestamp,
    /// The header as it stands (untrusted).
    pub raw: String,
    /// False: it is longer than the 256 KiB shown.
    pub complete: bool,
    /// The servers it passed, first one first, at most 100.
    pub hops: Vec<ReceivedHop>,
}

/// A server that took a mail in, as its `Received` line says (untrusted unless `trusted`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceivedHop {
    /// What the sending side called itself.
    pub from: String,
    /// The address the receiving server saw.
    pub address: Option<String>,
    /// What the receiving server calls itself.
    pub by: String,
    /// How it was handed over (`ESMTPS`).
    pub with: String,
    /// When.
    pub at: Option<Timestamp>,
    /// Seconds since the server before; negative when a clock is wrong or a line is forged.
    pub delay_seconds: Option<i64>,
    /// One of our own servers or trusted filters wrote the line, and all above it.
    pub trusted: bool,
}

/// A verdict of a sandbox, scanner or another gateway. Exactly one of `sha256`, `url` and
/// `message_id` says what it is about.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVerdict {
    /// SHA-256 of a file.
    #[serde(default)]
    pub sha256: Option<String>,
    /// A URL.
    #[serde(default)]
    pub url: Option<String>,
    /// NetworkMessageId of a message.
    #[serde(default)]
    pub message_id: Option<MessageId>,
    /// Name of the scanner, 1 to 64 characters.
    pub engine: String,
    /// What it thinks.
    pub verdict: Verdict,
    /// Kind of harm.
    #[serde(default)]
    pub threat: Option<ThreatType>,
    /// Why, 1 to 500 characters.
    pub reason: String,
    /// Where to read more: `http` or `https`, at most 2,000 characters.
    #[serde(default)]
    pub link: Option<String>,
}

/// A verdict as it was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredVerdict {
    /// Id.
    pub id: String,
    /// What it is about.
    pub target: EntityKey,
    /// The verdict.
    pub verdict: FilterVerdict,
    /// When it came.
    pub at: Timestamp,
    /// Messages known to be concerned, at most 1,000.
    pub messages: i64,
    /// Devices known to be concerned, at most 20.
    pub devices: i64,
}

/// The crawl of one mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrawlMailboxStatus {
    /// Mailbox.
    pub mailbox: String,
    /// `waiting`, `running`, `done` or `failed`.
    pub state: String,
    /// Mails read since the beginning.
    pub mails: i64,
    /// Mails left out: too big or not readable.
    pub skipped: i64,
    /// When the last look began.
    pub started_at: Timestamp,
    /// When the last whole look ended.
    pub finished_at: Option<Timestamp>,
    /// When the next one is due.
    pub next_at: Timestamp,
    /// Why the last one failed.
    pub error: Option<String>,
}

/// The crawl of all mailboxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrawlStatus {
    /// True when mailboxes are read in the background.
    pub enabled: bool,
    /// Mailboxes begun.
    pub mailboxes: i64,
    /// Of these, read to the end at least once.
    pub finished: i64,
    /// Of these, read now.
    pub running: i64,
    /// Of these, failed at the last look.
    pub failed: i64,
    /// Mails read.
    pub mails: i64,
    /// Mails left out.
    pub skipped: i64,
    /// The mailboxes in order of their names, at most 10,000.
    pub items: Vec<CrawlMailboxStatus>,
}

/// Which copies a removal would touch: by filter or by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DryRun {
    /// Copies by hand, at most 5,000. Leave out when there is a filter.
    pub copies: Vec<hinomi_model::MessageCopyRef>,
    /// Copies by filter, at most 200,000. Leave out when there are copies.
    pub filter: Option<hinomi_model::MailFilter>,
    /// Counts what came after this moment apart: when the list was shown.
    pub since: Option<Timestamp>,
    /// Also looks for forwarded and replied copies of these messages.
    pub related: bool,
}

/// Why a message counts as a forwarded or replied copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RelatedBy {
    /// It names the message in In-Reply-To or References.
    Reference,
    /// It carries the same file.
    Attachment,
}

/// A forwarded or replied copy: a message of the organisation's own that belongs to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelatedCopy {
    /// The copy.
    pub copy: hinomi_model::MessageCopyRef,
    /// Who sent it.
    pub sender: String,
    /// Its subject.
    pub subject: String,
    /// Why it counts.
    pub by: RelatedBy,
    /// Message it belongs to.
    pub of: MessageId,
    /// Folders it is in now, proved by Message-ID and content.
    pub folders: Vec<String>,
    /// Why the mailbox could not be asked.
    pub error: Option<String>,
}

/// Why a removal needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeedsPerson {
    /// Its headers say it goes to many: a list or a newsletter.
    Bulk,
    /// Very many recipients, or recipients over a long time.
    WidelyDelivered,
    /// From an own domain, or signed by its sender's domain and passing DMARC.
    TrustedSender,
    /// A protected mailbox is concerned.
    ProtectedMailbox,
    /// So many copies that a mistake would be costly.
    ManyCopies,
}

/// A mail in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRunPlace {
    /// Folder.
    pub folder: String,
    /// Where that is.
    pub location: DeliveryLocation,
    /// Mails there that are proved to be wanted, by Message-ID and content.
    pub mails: i64,
}

/// What a removal would do in one mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRunMailbox {
    /// Recipient.
    pub recipient: String,
    /// Where mails are now, asked live.
    pub places: Vec<DryRunPlace>,
    /// Copies known that are not in the mailbox now.
    pub absent: i64,
    /// Protected: removals here need a person.
    pub protected: bool,
    /// Used by several people.
    pub shared: bool,
    /// Why the mailbox could not be asked.
    pub error: Option<String>,
}

/// A mail with the same Message-ID and other content: it would be left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DifferingMail {
    /// Recipient.
    pub recipient: String,
    /// Folder.
    pub folder: String,
    /// What differs.
    pub difference: String,
}

/// What a removal would do, asked live before anything is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryRunResult {
    /// When the mailboxes were asked.
    pub checked_at: Timestamp,
    /// Copies the target names, as far as they are known.
    pub copies: i64,
    /// Messages of these.
    pub messages: i64,
    /// Copies that came after `since`.
    pub appeared_since: i64,
    /// Copies asked live; the rest is as the index says.
    pub asked: i64,
    /// Copies found in a mailbox now.
    pub present: i64,
    /// Mails found per location.
    pub locations: Vec<ValueCount>,
    /// Mailboxes asked, at most 500, those with mails first.
    pub mailboxes: Vec<DryRunMailbox>,
    /// Mails that only claim to be wanted, at most 100.
    pub differing: Vec<DifferingMail>,
    /// Forwarded and replied copies, when asked for, at most 500; not among the counts above.
    pub related: Vec<RelatedCopy>,
    /// Some of the messages, at most 20.
    pub sample: Vec<ExplorerMessage>,
    /// Why it needs a person; empty = it does not.
    pub needs_person: Vec<NeedsPerson>,
}

/// Moves or removes whatever a filter picks, up to 200,000 copies. Send an `Idempotency-Key` header.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMailBulk {
    /// Which messages; with a condition. What comes after the order is not touched.
    pub filter: hinomi_model::MailFilter,
    /// What is done with them. `hardDelete` needs step-up and cannot be undone.
    #[serde(default = "quarantine")]
    pub remedy: MessageRemedy,
    /// Also the sender's own copy in the sent items, for the remedies that remove.
    #[serde(default)]
    pub senders_copy: bool,
    /// Also forwarded and replied copies of these messages.
    #[serde(default)]
    pub related: bool,
    /// Why, 1 to 2,000 characters.
    pub reason: String,
    /// Incident it belongs to.
    #[serde(default)]
    pub incident_id: Option<hinomi_model::IncidentId>,
    /// True: only propose it; somebody approves the actions later.
    #[serde(default)]
    pub propose_only: bool,
    /// A person has read the dry run's reasons and wants it all the same.
    #[serde(default)]
    pub confirmed: bool,
    /// Indicators made with it, at most 50; each is an action of its own, which can be undone alone.
    #[serde(default)]
    pub block: Vec<hinomi_model::IndicatorSpec>,
}

fn quarantine() -> MessageRemedy {
    MessageRemedy::MoveToQuarantine
}

/// State of a bulk action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkState {
    /// The filter is being expanded into actions.
    Expanding,
    /// A person holds it.
    Paused,
    /// Every action is ordered; each tells its own progress.
    Ordered,
    /// A person stopped it; no more actions are made.
    Cancelled,
}

/// A filter that is expanded into actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MailBulk {
    /// Id.
    pub id: String,
    /// State.
    pub state: BulkState,
    /// The filter as it is run.
    pub filter: hinomi_model::MailFilter,
    /// What is done with the copies.
    pub remedy: MessageRemedy,
    /// Also the sender's own copies.
    pub senders_copy: bool,
    /// Also forwarded and replied copies.
    #[serde(default)]
    pub related: bool,
    /// Why.
    pub reason: String,
    /// Incident it belongs to.
    pub incident_id: Option<hinomi_model::IncidentId>,
    /// The actions wait for approval.
    pub propose_only: bool,
    /// Who ordered it.
    pub ordered_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Copies in the actions so far.
    pub copies: i64,
    /// The actions, in order; each has receipts and undo of its own.
    pub actions: Vec<hinomi_model::ActionId>,
    /// Why it needed a person.
    pub needs_person: Vec<NeedsPerson>,
    /// Where the expansion goes on.
    pub cursor: Option<String>,
    /// Indicators to be made.
    #[serde(default)]
    pub block: Vec<hinomi_model::IndicatorSpec>,
    /// The actions that make them, in order.
    #[serde(default)]
    pub block_actions: Vec<hinomi_model::ActionId>,
}
