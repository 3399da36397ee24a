//! The filter of the mail explorer: the same words pick messages for a list, a count and an action.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

macro_rules! mail_fields {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// What a condition looks at.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum MailField { $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)* }

        impl MailField {
            /// Every field, in order.
            pub const ALL: &'static [MailField] = &[$(MailField::$variant,)*];

            /// Returns the name as in JSON and in query parameters (snake_case).
            pub const fn name(self) -> &'static str {
                match self { $(MailField::$variant => $name,)* }
            }

            /// True for what tells the copies of one message apart.
            pub const fn is_of_copy(self) -> bool {
                use MailField::{DeliveryAction, Location, MovedBy, OriginalLocation, Recipient, RecipientDomain};
                matches!(self, Recipient | RecipientDomain | DeliveryAction | OriginalLocation | Location | MovedBy)
            }

            /// Tells what it looks at, for people who read the API's document.
            pub const fn about(self) -> &'static str {
                match self { $(MailField::$variant => concat!($($doc),*),)* }
            }
        }
    };
}

mail_fields! {
    /// Address of the sender, From header or envelope.
    Sender = "sender",
    /// Address of the From header.
    SenderAddress = "sender_address",
    /// Domain of the From header.
    SenderDomain = "sender_domain",
    /// Display name of the From header, whole.
    SenderName = "sender_name",
    /// Envelope sender.
    MailFrom = "mail_from",
    /// Domain of the envelope sender.
    MailFromDomain = "mail_from_domain",
    /// Return path as the last server wrote it.
    ReturnPath = "return_path",
    /// Address that handed the mail in.
    SenderIp = "sender_ip",
    /// Recipient.
    Recipient = "recipient",
    /// Domain of the recipient.
    RecipientDomain = "recipient_domain",
    /// Subject, whole; upper and lower case, spaces and reply prefixes do not matter.
    Subject = "subject",
    /// Words in subject, sender, recipient, attachment names; all of them must be there.
    Text = "text",
    /// Message-ID header without angle brackets.
    InternetMessageId = "internet_message_id",
    /// NetworkMessageId.
    Message = "message",
    /// SHA-256 of the normalised body text.
    BodySha256 = "body_sha256",
    /// Near-duplicate fingerprint of the body text.
    Fingerprint = "fingerprint",
    /// SHA-256 of a file, also inside archives and attached mails.
    AttachmentSha256 = "attachment_sha256",
    /// Name of a file, whole.
    AttachmentName = "attachment_name",
    /// Extension of a file's name, without the dot.
    AttachmentExtension = "attachment_extension",
    /// Media type of a file by its content.
    AttachmentType = "attachment_type",
    /// URL, whole.
    Url = "url",
    /// Registrable domain of a URL.
    UrlDomain = "url_domain",
    /// Host of a URL.
    UrlHost = "url_host",
    /// Host and path of a URL, without the query.
    UrlPath = "url_path",
    /// SPF result (`pass`, `fail`, `softfail`, `neutral`, `none`, `temperror`, `permerror`).
    Spf = "spf",
    /// DKIM result.
    Dkim = "dkim",
    /// DMARC result.
    Dmarc = "dmarc",
    /// `inbound`, `outbound` or `intraOrg`.
    Direction = "direction",
    /// How we know it: `gateway`, `journal` or `crawl`.
    Source = "source",
    /// What the gateway did: `delivered`, `junked`, `blocked` or `replaced`.
    DeliveryAction = "delivery_action",
    /// Where it was delivered to.
    OriginalLocation = "original_location",
    /// Where it is now.
    Location = "location",
    /// `action:<id>`, `owner` (the mailbox's owner or another program) or `none`.
    MovedBy = "moved_by",
    /// Verdict: `unknown`, `noThreatsFound`, `suspicious` or `malicious`.
    Verdict = "verdict",
    /// `malware`, `phish` or `spam`.
    Threat = "threat",
    /// Name of the filter or scanner that gave a verdict.
    Engine = "engine",
    /// Name and verdict of a filter or scanner, `name:malicious`.
    EngineVerdict = "engine_verdict",
    /// Id of an indicator that decided.
    Indicator = "indicator",
    /// Id of the campaign.
    Campaign = "campaign",
    /// Sent to many by a list or newsletter: `true` or `false`.
    Bulk = "bulk",
    /// Code of something that looked wrong or could not be inspected.
    Finding = "finding",
    /// Smallest size in bytes.
    SizeMin = "size_min",
    /// Largest size in bytes.
    SizeMax = "size_max",
    /// Fewest attachments.
    AttachmentsMin = "attachments_min",
    /// Most attachments.
    AttachmentsMax = "attachments_max",
    /// Fewest URLs.
    UrlsMin = "urls_min",
    /// Most URLs.
    UrlsMax = "urls_max",
    /// Fewest recipients.
    RecipientsMin = "recipients_min",
    /// Most recipients.
    RecipientsMax = "recipients_max",
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for MailField {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(MailField::ALL.iter().map(|field| field.name())))
            .description(Some("What a condition looks at."))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for MailField {}

impl std::str::FromStr for MailField {
    type Err = crate::BadWord;
    fn from_str(text: &str) -> Result<Self, crate::BadWord> {
        let known = MailField::ALL.iter().find(|field| field.name() == text);
        known.copied().ok_or_else(|| crate::BadWord { kind: "MailField", text: text.to_owned() })
    }
}

/// One condition: the field has one of the values (or none of them, when negated).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MailCondition {
    /// What it looks at.
    pub field: MailField,
    /// One of these, at most 50.
    pub values: Vec<String>,
    /// None of these instead.
    #[serde(default)]
    pub negate: bool,
}

/// Picks messages: every condition holds, within the time. Conditions on recipients and locations
/// hold for one and the same copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MailFilter {
    /// At most 30.
    pub conditions: Vec<MailCondition>,
    /// Received at or after.
    pub from: Option<Timestamp>,
    /// Received before.
    pub to: Option<Timestamp>,
}

impl MailFilter {
    /// Adds a condition with one value.
    pub fn with(mut self, field: MailField, value: impl Into<String>) -> Self {
        self.conditions.push(MailCondition { field, values: vec![value.into()], negate: false });
        self
    }

    /// True when it picks everything.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.from.is_none() && self.to.is_none()
    }
}
