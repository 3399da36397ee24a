//! Messages: one row per message and recipient.

use crate::alert::words;
use crate::{IndicatorId, MessageId, Text, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

words! {
    /// What the gateway did.
    DeliveryAction {
        /// Delivered.
        Delivered,
        /// Delivered to the junk folder.
        Junked,
        /// Not delivered.
        Blocked,
        /// Delivered with replaced parts.
        Replaced,
    }
    /// Where a copy is.
    DeliveryLocation {
        /// In the inbox or a folder of the user.
        Inbox,
        /// In the junk folder.
        JunkFolder,
        /// In the deleted items.
        DeletedItems,
        /// In Hinomi's quarantine, out of the user's sight.
        Quarantine,
        /// Refused at the gateway, or removed from the mailbox for good.
        Dropped,
        /// Delivery failed.
        Failed,
        /// Not known yet.
        Unknown,
    }
    /// Which way a mail goes, seen from the organisation.
    MailDirection {
        /// From outside.
        Inbound,
        /// To outside.
        Outbound,
        /// Between own mailboxes.
        IntraOrg,
    }
    /// How a message copy came to be known.
    MailSource {
        /// The gateway saw it pass.
        Gateway,
        /// The mail server sent a copy to the journal address.
        Journal,
        /// It was found in a mailbox.
        Crawl,
    }
    /// What kind of harm.
    ThreatType {
        /// Unwanted bulk mail.
        Spam,
        /// Deceives people.
        Phish,
        /// Carries or leads to harmful software.
        Malware,
    }
}

/// What another filter or scanner thinks of a message or of something it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FilterVerdict {
    /// Name of the filter or scanner.
    pub engine: String,
    /// What it thinks.
    pub verdict: Verdict,
    /// Kind of harm, when it says so.
    pub threat: Option<ThreatType>,
    /// Why, in its own words (untrusted).
    pub reason: String,
    /// Where to read more, an `http` or `https` address (untrusted).
    pub link: Option<String>,
}

/// One file of a message. Files inside archives and attached mails have a parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attachment {
    /// Name as declared (untrusted).
    pub name: String,
    /// SHA-256 of the decoded content, lower-case hex.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
    /// Type by content, a media type.
    pub file_type: String,
    /// SHA-256 of the file it lies in.
    pub parent_sha256: Option<String>,
    /// What could not be inspected and why (encrypted, limit reached, damaged).
    pub uninspected: Option<Uninspected>,
}

/// Why a file was not, or not wholly, inspected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Uninspected {
    /// `encrypted`, `unsupported_format`, `damaged`, `fragment`, `external`, `reader_failed` or
    /// `limit_…`; empty when only a sentence is known.
    pub code: String,
    /// The sentence; parts of it may come from the sender.
    pub text: Text,
}

/// Results of sender authentication, words of RFC 8601 (`pass`, `fail`, `none`, `temperror`, …).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthResults {
    /// SPF.
    pub spf: String,
    /// DKIM.
    pub dkim: String,
    /// DMARC.
    pub dmarc: String,
}

/// One copy of a message: what the gateway knew and where it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageCopy {
    /// NetworkMessageId.
    pub message_id: MessageId,
    /// Recipient, lower case.
    pub recipient: String,
    /// Message-ID header, without angle brackets; attacker-controlled, may be empty.
    pub internet_message_id: String,
    /// Envelope sender.
    pub sender_mail_from: String,
    /// Address of the From header, lower case.
    pub sender_from: String,
    /// Display name of the From header.
    pub sender_display_name: String,
    /// Address that handed the mail in.
    pub sender_ip: String,
    /// Subject, decoded.
    pub subject: String,
    /// Size in bytes.
    pub size: u64,
    /// When the gateway saw it.
    pub received_at: Timestamp,
    /// SHA-256 of the normalised body text; with the part hashes it proves identity in a mailbox.
    pub body_sha256: String,
    /// Files, nested ones after their parent.
    pub attachments: Vec<Attachment>,
    /// Normalised URLs, at most 1,000.
    pub urls: Vec<String>,
    /// Authentication.
    pub auth: AuthResults,
    /// What the gateway did.
    pub delivery_action: DeliveryAction,
    /// Where it went.
    pub delivery_location: DeliveryLocation,
    /// Where it is now, as far as we know.
    pub latest_location: DeliveryLocation,
    /// Verdict.
    pub verdict: Verdict,
    /// Indicators that decided.
    pub indicators: Vec<IndicatorId>,
    /// Kinds of harm found or claimed, sorted.
    pub threats: Vec<ThreatType>,
    /// How it came to be known.
    pub source: MailSource,
    /// Which way it went.
    pub direction: MailDirection,
    /// Return path as the last server wrote it, lower case; empty when unknown.
    pub return_path: String,
    /// Registrable domains of the URLs, sorted.
    pub url_domains: Vec<String>,
    /// Near-duplicate fingerprint of the body text, hexadecimal; empty when there is too little text.
    pub fingerprint: String,
    /// Campaign of messages alike, hexadecimal; given by the store.
    pub campaign: String,
    /// Sent to many by a list or newsletter, as its headers say.
    pub bulk: bool,
    /// Message-IDs it replies to or forwards (In-Reply-To, References), at most 100; the sender's word.
    #[serde(default)]
    pub references: Vec<String>,
    /// Codes of what looked wrong or could not be inspected.
    pub findings: Vec<String>,
    /// What other filters and scanners think.
    pub filters: Vec<FilterVerdict>,
    /// Folder it was last seen in, as people read it; none until a mailbox was looked into.
    pub folder: Option<String>,
    /// Who moved it last: `action:<id>` or `owner`.
    pub moved_by: Option<String>,
    /// When that was noticed.
    pub moved_at: Option<Timestamp>,
    /// Grows by one with every change (ETag).
    pub version: i64,
}

impl MessageCopy {
    /// The action that moved it last; none = its owner, or nobody.
    pub fn moved_by_action(&self) -> Option<crate::ActionId> {
        self.moved_by.as_deref()?.strip_prefix("action:")?.parse().ok()
    }

    /// True when an action dealt with it at or after that time: what was seen before is no news.
    pub fn acted_on_since(&self, time: Timestamp) -> bool {
        self.moved_by_action().is_some() && self.moved_at.is_some_and(|at| at >= time)
    }
}
