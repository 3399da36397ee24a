//! What each family of headers means.

use super::headers::Field;
use super::{Said, TrustedFilter};
use hinomi_model::{AuthResults, FilterVerdict, ThreatType, Verdict};

/// Longest reason kept, in characters.
const REASON_CHARS_MAX: usize = 500;
/// Most verdicts of one filter.
const VERDICTS_MAX: usize = 4;

/// True for the fields filters speak in.
pub(super) fn speaks(name: &str) -> bool {
    name == "authentication-results"
        || name == "x-forefront-antispam-report"
        || name.starts_with("x-spam-")
        || name.starts_with("x-rspamd-")
        || name.starts_with("x-spamd-")
}

/// Reads the believed fields of one filter; returns how many there were.
pub(super) fn read(own: &[&Field], filter: &TrustedFilter, said: &mut Said) -> usize {
    let mut believed = 0;
    for field in own.iter().filter(|field| field.name == "authentication-results") {
        let id = field.value.split([';', ' ']).next().unwrap_or_default();
        if filter.authserv_ids.iter().any(|known| known.eq_ignore_ascii_case(id)) {
            believed += 1;
            if said.auth.is_none() {
                said.auth = Some(authentication(&field.value));
            }
        }
    }
    let value = |name: &str| own.iter().find(|field| field.name == name).map(|field| field.value.as_str());
    believed += own.iter().filter(|field| field.name != "authentication-results").count();
    let spam_status = value("x-spam-status").or(value("x-spam-flag"));
    let rspamd = value("x-spamd-result").or(value("x-rspamd-action"));
    let found = [
        spam_status.map(|status| spamassassin(status, value("x-spam-flag"))),
        rspamd.map(|text| rspamd_says(value("x-spamd-result").unwrap_or_default(), value("x-rspamd-action"), text)),
        value("x-forefront-antispam-report").and_then(forefront),
    ];
    for (verdict, threat, reason) in found.into_iter().flatten().take(VERDICTS_MAX) {
        let reason = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
        said.verdicts.push(FilterVerdict { engine: filter.name.clone(), verdict, threat, reason, link: None });
    }
    believed
}

type Meaning = (Verdict, Option<ThreatType>, String);

/// `X-Spam-Status: Yes, score=…`, `X-Spam-Flag: YES` (SpamAssassin and those who imitate it).
fn spamassassin(status: &str, flag: Option<&str>) -> Meaning {
    let yes = |text: &str| text.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("yes"));
    if yes(status) || flag.is_some_and(yes) {
        return (Verdict::Suspicious, Some(ThreatType::Spam), status.to_owned());
    }
    (Verdict::NoThreatsFound, None, status.to_owned())
}

/// `X-Spamd-Result: default: True [6.1 / 15.00]; SYMBOL(…)[…]; …` and `X-Rspamd-Action`.
fn rspamd_says(result: &str, action: Option<&str>, reason: &str) -> Meaning {
    let symbols = result.to_ascii_uppercase();
    let has = |names: &[&str]| names.iter().any(|name| symbols.contains(name));
    let spam = matches!(
        action.unwrap_or_default().trim().to_ascii_lowercase().as_str(),
        "reject" | "add header" | "rewrite subject" | "quarantine" | "discard"
    ) || symbols.contains(": TRUE [");
    // names of the symbols of rspamd's antivirus and phishing modules
    if has(&["CLAM_VIRUS", "_VIRUS(", "VIRUS_FOUND", "MALWARE("]) {
        return (Verdict::Malicious, Some(ThreatType::Malware), reason.to_owned());
    }
    if spam && has(&["PHISHED_", "PHISHING("]) {
        return (Verdict::Suspicious, Some(ThreatType::Phish), reason.to_owned());
    }
    if spam {
        return (Verdict::Suspicious, Some(ThreatType::Spam), reason.to_owned());
    }
    (Verdict::NoThreatsFound, None, reason.to_owned())
}

/// `X-Forefront-Antispam-Report: …;SCL:5;SFV:SPM;CAT:PHSH;…` (Exchange Online); the categories are
/// those of Microsoft's documentation.
fn forefront(value: &str) -> Option<Meaning> {
    let field = |name: &str| {
        value.split(';').find_map(|part| part.trim().split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)))
    };
    let category = field("CAT").map(|(_, value)| value.trim().to_ascii_uppercase()).unwrap_or_default();
    let level: i64 = field("SCL").and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0);
    let (verdict, threat) = match category.as_str() {
        "MALW" | "AMP" | "SAP" => (Verdict::Malicious, Some(ThreatType::Malware)),
        "FTBP" => (Verdict::Suspicious, Some(ThreatType::Malware)),
        "HPHSH" | "HPHISH" => (Verdict::Malicious, Some(ThreatType::Phish)),
        "PHSH" | "SPOOF" | "DIMP" | "UIMP" | "GIMP" | "BIMP" => (Verdict::Suspicious, Some(ThreatType::Phish)),
        "SPM" | "HSPM" | "OSPM" | "BULK" | "INTOS" => (Verdict::Suspicious, Some(ThreatType::Spam)),
        _ if level >= 5 => (Verdict::Suspicious, Some(ThreatType::Spam)),
        _ if category.is_empty() && field("SCL").is_none() => return None,
        _ => (Verdict::NoThreatsFound, None),
    };
    Some((verdict, threat, value.to_owned()))
}

fn authentication(value: &str) -> AuthResults {
    let result = |method: &str| {
        let found = value.split(';').skip(1).find_map(|part| {
            let (name, rest) = part.trim().split_once('=')?;
            (name.trim().eq_ignore_ascii_case(method)).then(|| rest.trim())
        });
        let word: String = found.unwrap_or("none").chars().take_while(char::is_ascii_alphanumeric).take(20).collect();
        word.to_ascii_lowercase()
    };
    AuthResults { spf: result("spf"), dkim: result("dkim"), dmarc: result("dmarc") }
}
