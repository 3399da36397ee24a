//! What a value is, and whether it is one.

use crate::indicator::{LITERALS_MIN, PATTERN_CHARS_MAX, literals, normal};
use hinomi_model::{IndicatorKind, Text};
use std::net::IpAddr;

/// Undoes what people do to values so that nobody clicks them: `hxxp://`, `[.]`, `(.)`, `[:]`, `[at]`.
pub fn refang(value: &str) -> String {
    let mut text = value.to_owned();
    for (defanged, plain) in [("[.]", "."), ("(.)", "."), ("[dot]", "."), ("[:]", ":"), ("[at]", "@"), ("[@]", "@")] {
        if text.contains(defanged) {
            text = text.replace(defanged, plain);
        }
    }
    let scheme = text.get(..5).map(str::to_ascii_lowercase);
    match scheme.as_deref() {
        Some("hxxp:") => format!("http:{}", &text[5..]),
        Some("hxxps") => format!("https{}", &text[5..]),
        _ => text,
    }
}

/// Tells the kind of a value from its look; a name alone is a domain.
pub fn guess(value: &str) -> Option<IndicatorKind> {
    let hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value.len() {
        64 if hex => return Some(IndicatorKind::FileSha256),
        40 if hex => return Some(IndicatorKind::FileSha1),
        32 if hex => return Some(IndicatorKind::FileMd5),
        _ => {}
    }
    if value.parse::<IpAddr>().is_ok() {
        return Some(IndicatorKind::Ip);
    }
    if crate::cidr::Cidr::parse(value).is_some() {
        return Some(IndicatorKind::Cidr);
    }
    if value.contains("://") {
        return Some(IndicatorKind::Url);
    }
    let kinds = [IndicatorKind::SenderAddress, IndicatorKind::Domain];
    kinds.into_iter().find(|kind| sound(*kind, value).is_ok())
}

/// Checks a value of a kind and returns it as it is compared.
///
/// # Errors
/// Why it is no such value.
pub fn sound(kind: IndicatorKind, value: &str) -> Result<String, Text> {
    let value = normal(kind, value);
    let hex = |digits: usize| value.len() == digits && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = match kind {
        IndicatorKind::FileSha256 | IndicatorKind::CertificateSha256 => hex(64),
        IndicatorKind::FileSha1 => hex(40),
        IndicatorKind::FileMd5 => hex(32),
        IndicatorKind::Ip => value.parse::<IpAddr>().is_ok(),
        IndicatorKind::Cidr => crate::cidr::Cidr::parse(&value).is_some() && value.contains('/'),
        IndicatorKind::Domain | IndicatorKind::SenderDomain => is_name(&value),
        IndicatorKind::SenderAddress => {
            let parts = value.rsplit_once('@');
            parts.is_some_and(|(local, domain)| !local.is_empty() && is_name(domain)) && no_blanks(&value)
        }
        IndicatorKind::Url => {
            let host = value.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
            host.is_some_and(|host| !host.is_empty()) && no_blanks(&value)
        }
        IndicatorKind::SubjectPattern => {
            value.chars().count() <= PATTERN_CHARS_MAX
                && literals(&value) >= LITERALS_MIN
                && !value.chars().any(char::is_control)
        }
    };
    if fits {
        return Ok(value);
    }
    let (en, ja) = match kind {
        IndicatorKind::FileSha256 | IndicatorKind::CertificateSha256 => ("64 hexadecimal digits", "16 進数 64 桁"),
        IndicatorKind::FileSha1 => ("40 hexadecimal digits", "16 進数 40 桁"),
        IndicatorKind::FileMd5 => ("32 hexadecimal digits", "16 進数 32 桁"),
        IndicatorKind::Ip => ("an IP address", "IP アドレス"),
        IndicatorKind::Cidr => ("a network such as 192.0.2.0/24", "192.0.2.0/24 のようなネットワーク"),
        IndicatorKind::Domain | IndicatorKind::SenderDomain => ("a domain name with a dot", "ドットを含むドメイン名"),
        IndicatorKind::SenderAddress => ("a mail address", "メールアドレス"),
        IndicatorKind::Url => ("a URL with a scheme and a host", "スキームとホストのある URL"),
        IndicatorKind::SubjectPattern => (
            "a subject of at most 256 characters with three or more that are no wildcards",
            "256 文字以内で、ワイルドカード以外の文字を 3 文字以上含む件名",
        ),
    };
    Err(Text::new(format!("it is not {en}"), format!("{ja}ではありません")))
}

fn no_blanks(value: &str) -> bool {
    !value.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// A DNS name with at least two labels (RFC 1035 lengths; names in other scripts are taken as written).
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let inner = label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        !label.is_empty() && label.len() <= 63 && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(label) && name.parse::<IpAddr>().is_err()
}
