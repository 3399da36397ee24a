//! Words of the pivot: what a value is, and what happened to it on its way.

use crate::alert::words;
use crate::{EntityKey, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// What the value of a pivot is.
    PivotType {
        /// SHA-256 of a file.
        Sha256,
        /// SHA-1 of a file.
        Sha1,
        /// MD5 of a file.
        Md5,
        /// A URL.
        Url,
        /// A domain name.
        Domain,
        /// An IP address.
        Ip,
        /// A mail address.
        MailAddress,
        /// Message-ID header.
        InternetMessageId,
        /// NetworkMessageId.
        Message,
        /// An account on devices.
        Account,
        /// Id or name of a device.
        Device,
    }
    /// What happened to a value, in the order of an attack by mail.
    PivotStage {
        /// A mail with it came in.
        Arrived,
        /// A mail with it was sent.
        Sent,
        /// The mail was refused.
        Refused,
        /// The mail was put into a mailbox.
        Delivered,
        /// The mail was put into the junk folder.
        Junked,
        /// The mail was kept in quarantine.
        Quarantined,
        /// A mail client wrote the file.
        SavedByMailClient,
        /// A browser wrote the file.
        SavedByBrowser,
        /// An archive program wrote the file.
        Unpacked,
        /// Another program wrote the file.
        Saved,
        /// It was seen on a device; nothing more is known.
        Seen,
        /// The file ran.
        Executed,
        /// A process connected to it, or asked for its name.
        Connected,
        /// It was prevented on a device.
        Blocked,
        /// The file was deleted.
        Deleted,
        /// The owner moved the mail.
        Moved,
        /// The mail was taken out of the mailbox.
        Removed,
    }
    /// How an entity belongs to the value of a pivot.
    PivotRelation {
        /// The same short hash, another file.
        SameHash,
        /// The archive or mail the file came in.
        Inside,
        /// A file inside the archive.
        Contains,
        /// The domain of the URL.
        Domain,
        /// A URL of the domain, or of the message.
        Url,
        /// A file of the message.
        File,
        /// Who sent the message.
        Sender,
    }
}

/// One thing that happened to a value. Names are untrusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PivotStep {
    /// When.
    pub at: Timestamp,
    /// What.
    pub stage: PivotStage,
    /// Device or message copy it happened to.
    pub entity: EntityKey,
    /// The value it happened to, where it is not the one asked for (a file of a message).
    pub value: EntityKey,
    /// Name of the device, or recipient.
    pub place: String,
    /// Path, subject or folder.
    pub detail: String,
    /// Program, account, or who moved the mail.
    pub by: Option<String>,
}

/// How far a value came: one line of the story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PivotReach {
    /// What happened.
    pub stage: PivotStage,
    /// First time.
    pub first: Timestamp,
    /// Last time.
    pub last: Timestamp,
    /// On how many devices.
    pub devices: i64,
    /// In how many mailboxes.
    pub mailboxes: i64,
}
