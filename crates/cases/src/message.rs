//! Message copies from the rows the gateway writes.

use crate::sighting::is_sha256;
use hinomi_model::{
    Attachment, AuthResults, DeliveryAction, DeliveryLocation, Event, IndicatorId, MailDirection, MailSource,
    MessageCopy, MessageId, Table, Text, ThreatType, Uninspected, Verdict,
};
use std::collections::BTreeMap;

/// Attachments kept of one message, nested ones included.
const ATTACHMENTS_MAX: usize = 1_000;
/// URLs kept of one message.
const URLS_MAX: usize = 1_000;

/// Builds one [`MessageCopy`] per EmailEvents row of a batch, with the files and URLs of the batch's
/// EmailAttachmentInfo (of that recipient) and EmailUrlInfo rows.
///
/// What the tables lack stands in `AdditionalFields` of EmailEvents: `Size`, `BodySHA256`,
/// `TextSimHash`, `Indicators` (ids), `Verdict`, `Source`, `ReturnPath`, `UrlDomains`, `Bulk`,
/// `References` (Message-IDs), `Findings` (codes), `Filters` ([`hinomi_model::FilterVerdict`]), `Folder`; of EmailAttachmentInfo:
/// `ParentSHA256`, `Uninspected` with `UninspectedCode` and `UninspectedJa`.
pub fn message_copies<'a>(events: impl IntoIterator<Item = &'a Event> + Clone) -> Vec<MessageCopy> {
    let mut files: BTreeMap<(MessageId, String), Vec<Attachment>> = BTreeMap::new();
    let mut urls: BTreeMap<MessageId, Vec<String>> = BTreeMap::new();
    for event in events.clone() {
        let Some(id) = message_id(event) else { continue };
        match event.table {
            Table::EmailAttachmentInfo => {
                let list = files.entry((id, recipient(event))).or_default();
                if let Some(file) =
                    attachment(event).filter(|file| list.len() < ATTACHMENTS_MAX && !list.contains(file))
                {
                    list.push(file);
                }
            }
            Table::EmailUrlInfo => {
                let list = urls.entry(id).or_default();
                let url = event.str("Url").unwrap_or_default();
                if !url.is_empty() && list.len() < URLS_MAX && !list.iter().any(|known| known == url) {
                    list.push(url.to_owned());
                }
            }
            _ => {}
        }
    }
    let rows = events.into_iter().filter(|event| event.table == Table::EmailEvents);
    rows.filter_map(|event| copy(event, &files, &urls)).collect()
}

fn copy(
    event: &Event,
    files: &BTreeMap<(MessageId, String), Vec<Attachment>>,
    urls: &BTreeMap<MessageId, Vec<String>>,
) -> Option<MessageCopy> {
    let id = message_id(event)?;
    let recipient = recipient(event);
    if recipient.is_empty() {
        return None;
    }
    let fields: serde_json::Value =
        event.str("AdditionalFields").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let location = location(event.str("DeliveryLocation").unwrap_or_default());
    Some(MessageCopy {
        message_id: id,
        attachments: files.get(&(id, recipient.clone())).cloned().unwrap_or_default(),
        recipient,
        internet_message_id: text(event, "InternetMessageId").trim_matches(['<', '>']).to_owned(),
        sender_mail_from: text(event, "SenderMailFromAddress").to_lowercase(),
        sender_from: text(event, "SenderFromAddress").to_lowercase(),
        sender_display_name: text(event, "SenderDisplayName"),
        sender_ip: event.str("SenderIPv4").or(event.str("SenderIPv6")).unwrap_or_default().to_owned(),
        subject: text(event, "Subject"),
        size: fields["Size"].as_u64().unwrap_or_default(),
        received_at: event.timestamp,
        body_sha256: fields["BodySHA256"].as_str().unwrap_or_default().to_owned(),
        urls: urls.get(&id).cloned().unwrap_or_default(),
        auth: authentication(event.str("AuthenticationDetails").unwrap_or_default()),
        delivery_action: match event.str("DeliveryAction") {
            Some("Blocked") => DeliveryAction::Blocked,
            Some("Junked") => DeliveryAction::Junked,
            Some("Replaced") => DeliveryAction::Replaced,
            _ => DeliveryAction::Delivered,
        },
        delivery_location: location,
        latest_location: location,
        verdict: fields["Verdict"].as_str().and_then(|word| word.parse().ok()).unwrap_or(Verdict::Unknown),
        indicators: indicator_ids(&fields["Indicators"]),
        threats: threats(event.str("ThreatTypes").unwrap_or_default(), &fields["Filters"]),
        source: word(&fields["Source"]).unwrap_or(MailSource::Gateway),
        direction: direction(event.str("EmailDirection").unwrap_or_default()),
        return_path: fields["ReturnPath"].as_str().unwrap_or_default().to_lowercase(),
        url_domains: texts(&fields["UrlDomains"]),
        fingerprint: fields["TextSimHash"].as_str().unwrap_or_default().to_owned(),
        campaign: String::new(),
        bulk: fields["Bulk"].as_bool().unwrap_or_default(),
        references: texts(&fields["References"]),
        findings: texts(&fields["Findings"]),
        filters: serde_json::from_value(fields["Filters"].clone()).unwrap_or_default(),
        folder: fields["Folder"].as_str().map(str::to_owned),
        moved_by: None,
        moved_at: None,
        version: 1,
    })
}

/// Most texts of one kind kept of a message.
const TEXTS_MAX: usize = 200;

fn texts(value: &serde_json::Value) -> Vec<String> {
    let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut texts: Vec<String> =
        values.iter().filter_map(|text| text.as_str()).take(TEXTS_MAX).map(str::to_owned).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn word<T: std::str::FromStr>(value: &serde_json::Value) -> Option<T> {
    value.as_str()?.parse().ok()
}

fn direction(text: &str) -> MailDirection {
    match text {
        "Outbound" => MailDirection::Outbound,
        "Intra-org" => MailDirection::IntraOrg,
        _ => MailDirection::Inbound,
    }
}

/// Kinds of harm the gateway named and other filters claim.
fn threats(named: &str, filters: &serde_json::Value) -> Vec<ThreatType> {
    let own = named.split(',').filter_map(|name| match name.trim() {
        "Malware" => Some(ThreatType::Malware),
        "Phish" => Some(ThreatType::Phish),
        "Spam" => Some(ThreatType::Spam),
        _ => None,
    });
    let filters = filters.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut threats: Vec<ThreatType> = own.chain(filters.iter().filter_map(|one| word(&one["threat"]))).collect();
    threats.sort();
    threats.dedup();
    threats
}

fn attachment(event: &Event) -> Option<Attachment> {
    let sha256 = event.str("SHA256").filter(|text| is_sha256(text))?.to_ascii_lowercase();
    let fields: serde_json::Value =
        event.str("AdditionalFields").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    Some(Attachment {
        name: text(event, "FileName"),
        sha256,
        size: event.long("FileSize").and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        file_type: text(event, "FileType"),
        parent_sha256: fields["ParentSHA256"].as_str().filter(|text| is_sha256(text)).map(str::to_ascii_lowercase),
        uninspected: uninspected(&fields),
    })
}

fn uninspected(fields: &serde_json::Value) -> Option<Uninspected> {
    let en = fields["Uninspected"].as_str()?;
    let ja = fields["UninspectedJa"].as_str().unwrap_or(en);
    let code = fields["UninspectedCode"].as_str().unwrap_or_default().to_owned();
    Some(Uninspected { code, text: Text::new(en, ja) })
}

fn authentication(details: &str) -> AuthResults {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(details).unwrap_or_default();
    let word = |name: &str| {
        let found = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.as_str()).unwrap_or("none").to_lowercase()
    };
    AuthResults { spf: word("SPF"), dkim: word("DKIM"), dmarc: word("DMARC") }
}

fn location(text: &str) -> DeliveryLocation {
    match text {
        "Inbox/folder" | "Inbox" => DeliveryLocation::Inbox,
        "Junk folder" => DeliveryLocation::JunkFolder,
        "Deleted folder" => DeliveryLocation::DeletedItems,
        "Quarantine" => DeliveryLocation::Quarantine,
        "Dropped" => DeliveryLocation::Dropped,
        "Failed" => DeliveryLocation::Failed,
        _ => DeliveryLocation::Unknown,
    }
}

fn indicator_ids(value: &serde_json::Value) -> Vec<IndicatorId> {
    let ids = value.as_array().map(Vec::as_slice).unwrap_or_default();
    ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect()
}

fn message_id(event: &Event) -> Option<MessageId> {
    event.str("NetworkMessageId")?.parse().ok()
}

fn recipient(event: &Event) -> String {
    event.str("RecipientEmailAddress").unwrap_or_default().to_lowercase()
}

fn text(event: &Event, column: &str) -> String {
    event.str(column).unwrap_or_default().to_owned()
}

/// Returns the host of a URL, lower case, without port and user; none for addresses that have none.
pub fn url_domain(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    let host = host.trim_end_matches('.').to_lowercase();
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hinomi_model::Timestamp;

    #[test]
    fn rows_become_copies_with_nested_files() {
        let id = "00000000-0000-0000-0000-0000000000aa";
        let row = |table: Table, recipient: &str| {
            let mut event = Event::new(table, Timestamp::from_micros(7));
            event.set("NetworkMessageId", id).set("RecipientEmailAddress", recipient);
            event
        };
        let mut mail = row(Table::EmailEvents, "A@Example.org");
        mail.set("InternetMessageId", "<x@y>").set("DeliveryAction", "Blocked").set("DeliveryLocation", "Dropped");
        mail.set("AuthenticationDetails", r#"{"SPF":"Pass","DMARC":"fail"}"#);
        mail.set_additional("Indicators", serde_json::json!(["00000000-0000-0000-0000-000000000007", "junk"]));
        let mut outer = row(Table::EmailAttachmentInfo, "a@example.org");
        outer.set("FileName", "a.zip").set("SHA256", "aa".repeat(32));
        let mut inner = row(Table::EmailAttachmentInfo, "a@example.org");
        inner.set("FileName", "invoice.sh").set("SHA256", "bb".repeat(32));
        inner.set_additional("ParentSHA256", "aa".repeat(32));
        let mut url = Event::new(Table::EmailUrlInfo, Timestamp::from_micros(7));
        url.set("NetworkMessageId", id).set("Url", "http://x.example/");
        let copies = message_copies(&[mail, outer, inner, url]);
        assert_eq!(copies.len(), 1);
        let copy = &copies[0];
        assert_eq!((copy.recipient.as_str(), copy.internet_message_id.as_str()), ("a@example.org", "x@y"));
        assert_eq!(copy.attachments[1].parent_sha256.as_deref(), Some("aa".repeat(32).as_str()));
        assert_eq!((copy.auth.spf.as_str(), copy.auth.dkim.as_str()), ("pass", "none"));
        assert_eq!((copy.indicators.len(), copy.urls.len()), (1, 1));
        assert_eq!(copy.delivery_location, DeliveryLocation::Dropped);
    }

    #[test]
    fn hosts_of_urls() {
        assert_eq!(url_domain("https://u:p@Evil.Example.:8080/a?b"), Some("evil.example".to_owned()));
        assert_eq!(url_domain("http://[::1]:80/"), Some("::1".to_owned()));
        assert_eq!(url_domain("no url"), None);
        assert_eq!(url_domain("http:///"), None);
    }
}
