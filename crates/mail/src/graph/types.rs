//! The parts of Graph's types that are read. Names as in the v1.0 schema; whatever else an answer
//! carries is left alone.

use serde::Deserialize;

/// `microsoft.graph.message`, as far as it is selected.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Id; immutable, as every request asks for it.
    pub id: String,
    /// Folder.
    #[serde(default)]
    pub parent_folder_id: Option<String>,
    /// Message-ID with its angle brackets.
    #[serde(default)]
    pub internet_message_id: Option<String>,
    /// When it arrived, RFC 3339.
    #[serde(default)]
    pub received_date_time: Option<String>,
    /// Read by its owner.
    #[serde(default)]
    pub is_read: Option<bool>,
    /// Not sent yet.
    #[serde(default)]
    pub is_draft: Option<bool>,
    /// Follow-up flag.
    #[serde(default)]
    pub flag: Option<Flag>,
}

/// `microsoft.graph.followupFlag`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flag {
    /// `notFlagged`, `complete` or `flagged`.
    #[serde(default)]
    pub flag_status: Option<String>,
}

/// What a move answers: the mail where it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The mail as the service showed it after the move.
    pub message: Message,
    /// The service kept the id, as it does for immutable ones.
    pub kept_id: bool,
}

/// `microsoft.graph.mailFolder`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailFolder {
    /// Id.
    pub id: String,
    /// Name as its owner reads it.
    #[serde(default)]
    pub display_name: Option<String>,
    /// The folder it lies in.
    #[serde(default)]
    pub parent_folder_id: Option<String>,
    /// Folders in it.
    #[serde(default)]
    pub child_folder_count: Option<i32>,
}

/// `microsoft.graph.exchangeMessageTrace`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// Id of the trace.
    pub id: String,
    /// Message-ID with its angle brackets.
    #[serde(default)]
    pub message_id: Option<String>,
    /// Envelope recipient.
    #[serde(default)]
    pub recipient_address: Option<String>,
    /// Sender.
    #[serde(default)]
    pub sender_address: Option<String>,
    /// Subject.
    #[serde(default)]
    pub subject: Option<String>,
    /// When Exchange Online received it, RFC 3339.
    #[serde(default)]
    pub received_date_time: Option<String>,
    /// `delivered`, `quarantined`, `filteredAsSpam`, `failed` …
    #[serde(default)]
    pub status: Option<String>,
    /// Address of the sending server.
    #[serde(default, rename = "fromIP")]
    pub from_ip: Option<String>,
    /// Size in bytes.
    #[serde(default)]
    pub size: Option<i32>,
}

/// `microsoft.graph.user`, as far as it says whose mailbox has which addresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Object id.
    pub id: String,
    /// Login name; names the mailbox in requests.
    #[serde(default)]
    pub user_principal_name: Option<String>,
    /// Name as people read it.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Primary address.
    #[serde(default)]
    pub mail: Option<String>,
    /// All addresses with their type (`SMTP:` the primary, `smtp:` the others).
    #[serde(default)]
    pub proxy_addresses: Vec<String>,
    /// May log in.
    #[serde(default)]
    pub account_enabled: Option<bool>,
    /// Account name in the local domain, when it is synchronised from one.
    #[serde(default)]
    pub on_premises_sam_account_name: Option<String>,
    /// Security identifier in the local domain.
    #[serde(default)]
    pub on_premises_security_identifier: Option<String>,
}

impl User {
    /// Every address mail reaches this user at, lower case, the primary one first.
    pub fn addresses(&self) -> Vec<String> {
        let smtp = |kind: &'static str| {
            self.proxy_addresses.iter().filter_map(move |text| text.strip_prefix(kind)).map(str::to_lowercase)
        };
        let mut all: Vec<String> = self.mail.iter().map(|mail| mail.to_lowercase()).collect();
        for address in smtp("SMTP:").chain(smtp("smtp:")) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }
}

/// A list of answers with where it goes on.
#[derive(Debug, Deserialize)]
pub(super) struct Listed<T> {
    pub value: Vec<T>,
    #[serde(default, rename = "@odata.nextLink")]
    pub next_link: Option<String>,
    #[serde(default, rename = "@odata.deltaLink")]
    pub delta_link: Option<String>,
}

/// One row of a delta answer: a mail, or only the id of one that is gone.
#[derive(Debug, Deserialize)]
pub(super) struct DeltaRow {
    #[serde(flatten)]
    pub message: Message,
    #[serde(default, rename = "@removed")]
    pub removed: Option<serde_json::Value>,
}

/// `{"error": {"code", "message"}}`
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorBody {
    #[serde(default)]
    pub error: ErrorDetail,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub message: String,
}
