//! Rows of the hunting tables for one message.

use crate::mailboxes::settle::location_text;
use hinomi_detect::Hit;
use hinomi_mail::milter::Envelope;
use hinomi_mail::parse::{Analysis, Listed, domain_of};
use hinomi_model::{
    AuthResults, DeliveryAction, DeliveryLocation, Event, FilterVerdict, IndicatorAction, IndicatorKind, MailSource,
    MessageId, Table, ThreatType, Timestamp, Verdict,
};
use hinomi_wire::BATCH_EVENTS_MAX;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Notes about things not inspected written into a row.
const NOTES_MAX: usize = 20;

/// Everything known about one message.
pub(crate) struct Seen<'s> {
    pub id: MessageId,
    pub at: Timestamp,
    pub envelope: &'s Envelope,
    pub analysis: &'s Analysis,
    pub auth: &'s AuthResults,
    pub hits: &'s [Hit],
    pub action: DeliveryAction,
    pub location: DeliveryLocation,
    pub source: MailSource,
    /// What other filters and scanners say of it.
    pub filters: &'s [FilterVerdict],
    /// Sent to many, as its headers say.
    pub bulk: bool,
    /// Folder it was found in, as people read it.
    pub folder: Option<&'s str>,
}

/// Builds the rows, in parts the ingest log takes. A message with very many recipients needs several
/// parts; each is whole in itself, so the URL rows are in every one, under the same ReportId.
pub(crate) fn rows(seen: &Seen<'_>, own_domains: &[String]) -> Vec<Vec<Event>> {
    let urls: Vec<Event> =
        seen.analysis.urls.iter().enumerate().map(|(index, url)| url_row(seen, index, url)).collect();
    let mut recipients: Vec<String> = seen.envelope.recipients.iter().map(|one| one.to_lowercase()).collect();
    recipients.sort();
    recipients.dedup();
    let per_recipient = 1 + seen.analysis.files.len();
    let room = BATCH_EVENTS_MAX.saturating_sub(urls.len()).max(per_recipient);
    let parts = recipients.chunks((room / per_recipient).max(1));
    parts
        .map(|recipients| {
            let mut events = urls.clone();
            for recipient in recipients {
                events.push(message_row(seen, recipient, own_domains));
                let files = seen.analysis.files.iter().enumerate();
                events.extend(files.map(|(index, file)| file_row(seen, recipient, index, file)));
            }
            events
        })
        .collect()
}

fn row(seen: &Seen<'_>, table: Table, report: &str) -> Event {
    let mut event = Event::new(table, seen.at);
    event.set("NetworkMessageId", seen.id.to_string()).set("ReportId", format!("{}/{report}", seen.id));
    event
}

fn message_row(seen: &Seen<'_>, recipient: &str, own_domains: &[String]) -> Event {
    let Seen { envelope, analysis, auth, hits, .. } = seen;
    let mut event = row(seen, Table::EmailEvents, recipient);
    let mail_from = envelope.mail_from.to_lowercase();
    event
        .set("InternetMessageId", analysis.message_id.as_str())
        .set("SenderMailFromAddress", mail_from.as_str())
        .set("SenderMailFromDomain", domain_of(&mail_from))
        .set("SenderFromAddress", analysis.from_address.as_str())
        .set("SenderFromDomain", analysis.from_domain())
        .set("SenderDisplayName", analysis.from_name.as_str())
        .set("RecipientEmailAddress", recipient)
        .set("Subject", analysis.subject.as_str())
        .set("EmailDirection", direction(&mail_from, recipient, own_domains))
        .set("DeliveryAction", if seen.action == DeliveryAction::Blocked { "Blocked" } else { "Delivered" })
        .set("DeliveryLocation", location_text(seen.location))
        .set("LatestDeliveryLocation", location_text(seen.location))
        .set("AuthenticationDetails", json!({"SPF": auth.spf, "DKIM": auth.dkim, "DMARC": auth.dmarc}).to_string())
        .set(
            "AttachmentCount",
            analysis.files.iter().filter(|file| file.attachment.parent_sha256.is_none()).count() as i64,
        )
        .set("UrlCount", analysis.urls.len() as i64);
    match envelope.client_ip {
        Some(IpAddr::V4(ip)) => drop(event.set("SenderIPv4", ip.to_string())),
        Some(IpAddr::V6(ip)) => drop(event.set("SenderIPv6", ip.to_string())),
        None => {}
    }
    let blocking: Vec<&Hit> = hits.iter().filter(|hit| hit.action.blocks()).collect();
    let (threats, methods) = threats(&blocking, seen.filters);
    if !threats.is_empty() {
        event.set("ThreatTypes", threats.join(",")).set("DetectionMethods", methods.to_string());
    }
    if !blocking.is_empty() {
        event.set(
            "EmailAction",
            if seen.location == DeliveryLocation::Quarantine { "Send to quarantine" } else { "Delete message" },
        );
    } else if hits.iter().any(|hit| hit.action == IndicatorAction::Warn) && seen.source == MailSource::Gateway {
        event.set("EmailAction", "Add X-header");
    }
    let said = seen.filters.iter().map(|one| one.verdict).max().unwrap_or(Verdict::Unknown);
    let verdict = if blocking.is_empty() { said } else { Verdict::Malicious };
    let mut domains: Vec<String> = analysis.urls.iter().map(|url| url.registrable_domain.clone()).collect();
    domains.sort();
    domains.dedup();
    let mut fields = json!({
        "Size": analysis.size,
        "BodySHA256": analysis.body_sha256,
        "TextSHA256": analysis.text_sha256,
        "TextSimHash": analysis.text_simhash.map(|hash| format!("{hash:016x}")),
        "ReturnPath": analysis.return_path,
        "SenderAddress": analysis.sender_address,
        "ReplyTo": analysis.reply_to,
        "Verdict": verdict,
        "Indicators": hits.iter().map(|hit| hit.id.to_string()).collect::<Vec<_>>(),
        "QueueId": envelope.queue_id,
        "Helo": envelope.helo,
        "Source": seen.source,
        "UrlDomains": domains,
        "Bulk": seen.bulk,
        "Findings": findings(analysis),
    });
    if !seen.filters.is_empty() {
        fields["Filters"] = json!(seen.filters);
    }
    if !analysis.references.is_empty() {
        fields["References"] = json!(analysis.references);
    }
    if let Some(folder) = seen.folder {
        fields["Folder"] = folder.into();
    }
    let mut notes: Vec<String> =
        analysis.notes.iter().take(NOTES_MAX).map(|note| format!("{}: {}", note.subject, note.reason)).collect();
    if envelope.truncated {
        notes.insert(0, "message: bigger than the size limit, only its beginning was inspected".to_owned());
    }
    if !notes.is_empty() {
        fields["NotInspected"] = notes.into();
    }
    event.set("AdditionalFields", fields.to_string());
    event
}

/// Codes of what looked wrong or could not be inspected.
fn findings(analysis: &Analysis) -> BTreeSet<&str> {
    let files = analysis.files.iter().filter_map(|file| file.attachment.uninspected.as_ref());
    let codes = files.map(|why| why.code.as_str()).chain(analysis.notes.iter().map(|note| note.reason.code()));
    codes.filter(|code| !code.is_empty()).collect()
}

/// Kinds of harm, and who found each.
fn threats(blocking: &[&Hit], filters: &[FilterVerdict]) -> (Vec<&'static str>, serde_json::Value) {
    let mut found: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    for hit in blocking {
        let file = matches!(hit.kind, IndicatorKind::FileSha256 | IndicatorKind::FileSha1 | IndicatorKind::FileMd5);
        let threat = if file { "Malware" } else { "Phish" };
        found.entry(threat).or_default().insert("Custom indicator".to_owned());
    }
    for filter in filters.iter().filter(|one| one.verdict >= Verdict::Suspicious) {
        let threat = match filter.threat {
            Some(ThreatType::Malware) => "Malware",
            Some(ThreatType::Phish) => "Phish",
            Some(ThreatType::Spam) => "Spam",
            None => continue,
        };
        found.entry(threat).or_default().insert(filter.engine.clone());
    }
    (found.keys().copied().collect(), json!(found))
}

fn file_row(seen: &Seen<'_>, recipient: &str, index: usize, file: &hinomi_mail::parse::FileFound) -> Event {
    let mut event = row(seen, Table::EmailAttachmentInfo, &format!("{recipient}/file/{index}"));
    let attachment = &file.attachment;
    event
        .set("SenderFromAddress", seen.analysis.from_address.as_str())
        .set("SenderDisplayName", seen.analysis.from_name.as_str())
        .set("RecipientEmailAddress", recipient)
        .set("FileName", attachment.name.as_str())
        .set("FileType", attachment.file_type.as_str())
        .set("SHA256", attachment.sha256.as_str())
        .set("FileSize", i64::try_from(attachment.size).unwrap_or(i64::MAX));
    let mut fields = json!({"SHA1": file.sha1, "MD5": file.md5});
    if let Some(parent) = &attachment.parent_sha256 {
        fields["ParentSHA256"] = parent.as_str().into();
        fields["ContainerPath"] = file.path.as_str().into();
    }
    if !file.declared_type.is_empty() {
        fields["DeclaredType"] = file.declared_type.as_str().into();
    }
    if let Some(why) = &attachment.uninspected {
        fields["Uninspected"] = why.text.en.as_str().into();
        fields["UninspectedJa"] = why.text.ja.as_str().into();
        fields["UninspectedCode"] = why.code.as_str().into();
    }
    if file.opened_with_password {
        fields["OpenedWithPassword"] = true.into();
    }
    if !file.listed.is_empty() {
        let entry = |one: &Listed| json!({"Name": one.name, "Size": one.size, "Encrypted": one.encrypted});
        fields["Listed"] = file.listed.iter().map(entry).collect();
    }
    event.set("AdditionalFields", fields.to_string());
    let hashes = [&attachment.sha256, &file.sha1, &file.md5];
    let own = |hit: &Hit| hashes.iter().any(|hash| hit.value.eq_ignore_ascii_case(hash));
    if seen.hits.iter().any(|hit| hit.action.blocks() && own(hit)) {
        event
            .set("ThreatTypes", "Malware")
            .set("DetectionMethods", json!({"Malware": ["Custom indicator"]}).to_string());
    }
    event
}

fn url_row(seen: &Seen<'_>, index: usize, url: &hinomi_mail::parse::UrlFound) -> Event {
    let mut event = row(seen, Table::EmailUrlInfo, &format!("url/{index}"));
    event.set("Url", url.url.as_str()).set("UrlDomain", url.domain.as_str()).set("UrlLocation", url.location.word());
    let mut fields = json!({"RegistrableDomain": url.registrable_domain});
    if let Some(wrapper) = &url.unwrapped_from {
        fields["UnwrappedFrom"] = wrapper.as_str().into();
    }
    event.set("AdditionalFields", fields.to_string());
    event
}

/// Which way the mail goes, seen from the organisation.
fn direction(sender: &str, recipient: &str, own_domains: &[String]) -> &'static str {
    let ours = |address: &str| own_domains.iter().any(|own| own == domain_of(address));
    match (ours(sender), ours(recipient)) {
        _ if own_domains.is_empty() => "Inbound",
        (true, true) => "Intra-org",
        (true, false) => "Outbound",
        (false, _) => "Inbound",
    }
}
