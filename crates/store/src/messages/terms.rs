//! Terms: what a message can be found by, as numbers.

use hinomi_model::{Attachment, MailField, MessageCopy};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Words of one message's texts that become terms.
const WORDS_MAX: usize = 200;
/// Longest word, in characters.
const WORD_CHARS_MAX: usize = 40;

/// Returns the term of a value: the first eight bytes of a hash over kind and value.
pub(crate) fn term(kind: &str, value: &str) -> i64 {
    let mut hasher = Sha256::new();
    hasher.update(kind);
    hasher.update([0]);
    hasher.update(value);
    let hash = hasher.finalize();
    i64::from_be_bytes(hash[..8].try_into().expect("a SHA-256 has 32 bytes"))
}

/// The term of a Message-ID that a message replies to or forwards.
pub(super) fn reference_term(internet_message_id: &str) -> i64 {
    term("references", internet_message_id)
}

/// Kinds of terms whose number per hour is kept: enumerations with few values.
pub(super) const COUNTED: &[MailField] = &[
    MailField::Direction,
    MailField::Source,
    MailField::DeliveryAction,
    MailField::OriginalLocation,
    MailField::Location,
    MailField::Verdict,
    MailField::Threat,
    MailField::Spf,
    MailField::Dkim,
    MailField::Dmarc,
    MailField::Bulk,
    MailField::Engine,
];

/// The term every message has.
pub(super) fn every_message() -> i64 {
    term("all", "")
}

/// Terms of a message or a copy; the counted ones apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub plain: BTreeSet<i64>,
    pub counted: BTreeSet<i64>,
}

impl Terms {
    fn add(&mut self, field: MailField, value: &str) {
        if value.is_empty() {
            return;
        }
        let term = term(field.name(), value);
        if COUNTED.contains(&field) {
            self.counted.insert(term)
        } else {
            self.plain.insert(term)
        };
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = i64> {
        self.plain.iter().chain(&self.counted).copied()
    }
}

/// Returns the terms that are the same for every recipient.
pub(super) fn of_message(copy: &MessageCopy) -> Terms {
    let mut terms = Terms::default();
    terms.counted.insert(every_message());
    let (from, mail_from) = (copy.sender_from.to_lowercase(), copy.sender_mail_from.to_lowercase());
    for address in [&from, &mail_from] {
        terms.add(MailField::Sender, address);
    }
    terms.add(MailField::SenderAddress, &from);
    terms.add(MailField::SenderDomain, domain_of(&from));
    terms.add(MailField::SenderName, &folded(&copy.sender_display_name));
    terms.add(MailField::MailFrom, &mail_from);
    terms.add(MailField::MailFromDomain, domain_of(&mail_from));
    terms.add(MailField::ReturnPath, &copy.return_path);
    terms.add(MailField::SenderIp, &copy.sender_ip);
    terms.add(MailField::Subject, &subject_key(&copy.subject));
    terms.add(MailField::InternetMessageId, &copy.internet_message_id);
    terms.add(MailField::BodySha256, &copy.body_sha256);
    terms.add(MailField::Fingerprint, &copy.fingerprint);
    for (at, band) in bands(&copy.fingerprint).into_iter().flatten().enumerate() {
        terms.plain.insert(band_term(at, band));
    }
    let keys = keys(copy);
    terms.plain.extend([keys.subject, keys.body, keys.url, keys.file].into_iter().filter(|key| *key != 0));
    for file in &copy.attachments {
        terms.add(MailField::AttachmentSha256, &file.sha256.to_lowercase());
        let name = folded(&file.name);
        terms.add(MailField::AttachmentName, &name);
        if let Some((_, extension)) = name.rsplit_once('.') {
            terms.add(MailField::AttachmentExtension, extension);
        }
        terms.add(MailField::AttachmentType, &file.file_type.to_lowercase());
    }
    for url in &copy.urls {
        terms.add(MailField::Url, url);
        if let Some(host) = host_of(url) {
            terms.add(MailField::UrlHost, &host);
        }
        terms.add(MailField::UrlPath, &path_of(url));
    }
    copy.url_domains.iter().for_each(|domain| terms.add(MailField::UrlDomain, &domain.to_lowercase()));
    terms.add(MailField::Spf, &copy.auth.spf);
    terms.add(MailField::Dkim, &copy.auth.dkim);
    terms.add(MailField::Dmarc, &copy.auth.dmarc);
    terms.add(MailField::Direction, &copy.direction.word());
    terms.add(MailField::Source, &copy.source.word());
    terms.add(MailField::Verdict, &copy.verdict.word());
    terms.add(MailField::Bulk, if copy.bulk { "true" } else { "false" });
    copy.indicators.iter().for_each(|id| terms.add(MailField::Indicator, &id.to_string()));
    copy.findings.iter().for_each(|code| terms.add(MailField::Finding, code));
    terms.plain.extend(copy.references.iter().map(|id| reference_term(id)));
    for filter in &copy.filters {
        let engine = folded(&filter.engine);
        terms.add(MailField::Engine, &engine);
        terms.add(MailField::EngineVerdict, &format!("{engine}:{}", filter.verdict.word()));
    }
    copy.threats.iter().for_each(|threat| terms.add(MailField::Threat, &threat.word()));
    let names = copy.attachments.iter().map(|file| file.name.as_str());
    let texts = [copy.subject.as_str(), &copy.sender_display_name, &from, &mail_from, &copy.sender_ip];
    for word in texts.into_iter().chain(names).flat_map(words).take(WORDS_MAX) {
        terms.add(MailField::Text, &word);
    }
    terms
}

/// Returns the terms of one copy.
pub(super) fn of_copy(copy: &MessageCopy) -> Terms {
    let mut terms = Terms::default();
    terms.add(MailField::Recipient, &copy.recipient);
    terms.add(MailField::RecipientDomain, domain_of(&copy.recipient));
    terms.add(MailField::DeliveryAction, &copy.delivery_action.word());
    terms.add(MailField::OriginalLocation, &copy.delivery_location.word());
    terms.add(MailField::Location, &copy.latest_location.word());
    terms.add(MailField::MovedBy, copy.moved_by.as_deref().unwrap_or("none"));
    words(&copy.recipient).for_each(|word| terms.add(MailField::Text, &word));
    terms
}

/// The values by which messages are grouped, as terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub subject: i64,
    pub body: i64,
    pub sender: i64,
    pub url: i64,
    pub file: i64,
}

/// Returns the grouping keys of a message; 0 where it has nothing of the kind.
pub(super) fn keys(copy: &MessageCopy) -> Keys {
    let key = |kind: &str, value: &str| if value.is_empty() { 0 } else { term(kind, value) };
    let mut urls: Vec<String> = copy.urls.iter().map(|url| path_of(url)).collect();
    urls.sort();
    urls.dedup();
    let mut files: Vec<&str> =
        copy.attachments.iter().filter(|file| !is_decoration(file)).map(|file| file.sha256.as_str()).collect();
    files.sort_unstable();
    files.dedup();
    let body = if copy.fingerprint.is_empty() { &copy.body_sha256 } else { &copy.fingerprint };
    Keys {
        subject: key("group.subject", &masked(&subject_key(&copy.subject))),
        body: key("group.body", body),
        sender: key("group.sender", &copy.sender_from.to_lowercase()),
        url: key("group.url", &urls.join("\n")),
        file: key("group.file", &files.join("\n")),
    }
}

/// Pictures are in every mail of a company: they say nothing about a campaign.
fn is_decoration(file: &Attachment) -> bool {
    file.file_type.starts_with("image/")
}

/// The four 16-bit parts of a 64-bit fingerprint: two that differ in at most three bits share one.
pub(super) fn bands(fingerprint: &str) -> Option<[u16; 4]> {
    let bits = fingerprint_bits(fingerprint)?;
    Some([(bits >> 48) as u16, (bits >> 32) as u16, (bits >> 16) as u16, bits as u16])
}

pub(super) fn fingerprint_bits(fingerprint: &str) -> Option<u64> {
    (fingerprint.len() == 16).then(|| u64::from_str_radix(fingerprint, 16).ok()).flatten()
}

pub(super) fn band_term(at: usize, band: u16) -> i64 {
    term("band", &format!("{at}:{band:04x}"))
}

/// The subject without reply prefixes, upper case and differences of space.
pub(super) fn subject_key(subject: &str) -> String {
    let mut text = folded(subject);
    while let Some(rest) =
        ["re:", "fw:", "fwd:", "aw:", "wg:", "re：", "fw："].iter().find_map(|prefix| text.strip_prefix(prefix))
    {
        text = rest.trim_start().to_owned();
    }
    text
}

/// Digits differ between the mails of a campaign (invoice numbers).
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_numeric() && out.ends_with('#') => {}
            c if c.is_numeric() => out.push('#'),
            c => out.push(c),
        }
    }
    out
}

/// Lower case, single spaces.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = if host.starts_with('[') { host } else { host.split(':').next()? };
    (!host.is_empty()).then(|| host.to_lowercase())
}

/// Host and path without scheme, query and fragment.
pub(super) fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    match path.split_once('/') {
        Some((host, path)) => format!("{}/{path}", host.to_lowercase()),
        None => format!("{}/", path.to_lowercase()),
    }
}

/// Cuts a text into words: runs of letters and digits; scripts without spaces into pairs of
/// characters.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    let text = text.to_lowercase();
    let mut found = Vec::new();
    let mut run = String::new();
    let mut dense: Vec<char> = Vec::new();
    for c in text.chars().chain(Some(' ')) {
        let joined = is_dense(c);
        if !joined && !dense.is_empty() {
            match dense.as_slice() {
                [one] => found.push(one.to_string()),
                many => found.extend(many.windows(2).map(|pair| pair.iter().collect::<String>())),
            }
            dense.clear();
        }
        if joined || !c.is_alphanumeric() {
            if !run.is_empty() {
                found.push(run.chars().take(WORD_CHARS_MAX).collect());
                run.clear();
            }
        } else {
            run.push(c);
        }
        if joined {
            dense.push(c);
        }
    }
    found.into_iter()
}

/// Kana, kanji, hangul: written without spaces between words.
fn is_dense(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_two_scripts() {
        let of = |text: &str| words(text).collect::<Vec<_>>();
        assert_eq!(of("Re: 請求書 INVOICE-7.zip"), ["re", "請求", "求書", "invoice", "7", "zip"]);
        assert_eq!(of("株"), ["株"]);
        assert_eq!(of(""), [""; 0]);
    }

    #[test]
    fn keys_of_texts() {
        assert_eq!(subject_key("RE: Fw:  Invoice  12"), "invoice 12");
        assert_eq!(masked("invoice 1234-5"), "invoice #-#");
        assert_eq!(path_of("https://A.example/x/Y?z#q"), "a.example/x/Y");
        assert_eq!(path_of("http://a.example"), "a.example/");
        assert_eq!(bands("0001000200030004"), Some([1, 2, 3, 4]));
        assert_eq!(bands("no"), None);
    }
}
