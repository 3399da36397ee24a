//! A rule drafted from one alert: its detection rule and the facts that will be the same next time.

use crate::places::{is_system_path, is_temporary_path};
use hinomi_model::{Alert, EntityKind, Evidence, EvidenceRole, TuningCondition, TuningField, TuningOperator};

/// Digits in a row that are taken for a number that changes: process ids, dates, build numbers.
const DIGITS_MIN: usize = 3;
/// Hexadecimal digits in a row, one of them a figure, that are taken for a random name.
const HEX_MIN: usize = 8;
/// Letters a wildcard must keep to be worth a condition.
const KEPT_MIN: usize = 4;
/// Longest value proposed, characters; of longer ones the beginning counts.
const VALUE_CHARS_MAX: usize = 400;

/// Returns conditions for alerts like this one: as narrow as its stable facts allow.
pub fn suggest_tuning(alert: &Alert) -> Vec<TuningCondition> {
    let mut found = vec![equals(TuningField::Rule, &alert.rule_id)];
    let pieces = |kind: EntityKind| alert.evidence.iter().filter(move |piece| piece.entity.kind == kind);
    let (above, own): (Vec<&Evidence>, Vec<&Evidence>) =
        pieces(EntityKind::Process).partition(|piece| piece.role == EvidenceRole::Contextual);
    if let Some(process) = own.first() {
        found.extend(place(process, fact(process, "sha256")));
        found.extend(stable(TuningField::CommandLine, fact(process, "command_line")));
    }
    if let Some(parent) = above.first() {
        let path = stable(TuningField::ParentPath, fact(parent, "path"));
        found.extend(path.or_else(|| stable(TuningField::ParentName, &parent.name)));
    }
    let image = own.first().map(|process| fact(process, "path")).unwrap_or_default();
    let object = pieces(EntityKind::File)
        .filter(|piece| piece.role != EvidenceRole::Contextual)
        .find(|piece| fact(piece, "path") != image || image.is_empty());
    if let Some(file) = object {
        found.extend(place(file, &file.entity.value));
    }
    let names = pieces(EntityKind::Domain).chain(pieces(EntityKind::Url)).find_map(|piece| match piece.entity.kind {
        EntityKind::Url => crate::url_domain(&piece.entity.value),
        _ => Some(piece.entity.value.clone()),
    });
    match (names, pieces(EntityKind::Ip).next()) {
        (Some(domain), _) => found.push(equals(TuningField::Domain, &domain)),
        (None, Some(address)) => found.push(equals(TuningField::Address, &address.entity.value)),
        (None, None) => {}
    }
    // the mail an endpoint alert began with may be another one next time
    if alert.device.is_none() {
        found.extend(pieces(EntityKind::Sender).next().map(|one| equals(TuningField::Sender, &one.entity.value)));
        let subject = pieces(EntityKind::Message).next().map(|one| fact(one, "subject")).unwrap_or_default();
        found.extend(stable(TuningField::Subject, subject));
    }
    found.dedup();
    found
}

fn fact<'a>(piece: &'a Evidence, name: &str) -> &'a str {
    piece.facts.get(name).map(String::as_str).unwrap_or_default()
}

fn equals(field: TuningField, value: &str) -> TuningCondition {
    TuningCondition { field, operator: TuningOperator::Equals, values: vec![value.to_owned()] }
}

/// Where a file lies, or what it is: a path anybody may write to says little.
fn place(piece: &Evidence, sha256: &str) -> Option<TuningCondition> {
    let path = fact(piece, "path");
    let known = crate::sighting::is_sha256(sha256);
    if known && !is_system_path(path) && (path.is_empty() || is_temporary_path(path)) {
        return Some(equals(TuningField::FileSha256, sha256));
    }
    stable(TuningField::FilePath, path).or_else(|| stable(TuningField::FileName, &piece.name))
}

/// A condition on a text whose changing parts are left open; none when little is left.
fn stable(field: TuningField, text: &str) -> Option<TuningCondition> {
    let text = text.trim();
    let long = text.chars().count() > VALUE_CHARS_MAX;
    let cut: String = text.chars().take(VALUE_CHARS_MAX).collect();
    let mut open = open_parts(&cut);
    let kept = open.chars().filter(|c| c.is_alphanumeric()).count();
    if kept < KEPT_MIN.min(text.chars().count()) || text.is_empty() {
        return None;
    }
    if long {
        open.push('*');
    }
    let operator = if open == text { TuningOperator::Equals } else { TuningOperator::Wildcard };
    Some(TuningCondition { field, operator, values: vec![open] })
}

/// Puts a star for every run of figures or hexadecimal digits that looks like it changes.
fn open_parts(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = |fits: fn(char) -> bool| rest.find(|c: char| !fits(c)).unwrap_or(rest.len());
        let word = end(|c| c.is_ascii_alphanumeric());
        let run = &rest[..word];
        let random = run.len() >= HEX_MIN
            && run.bytes().all(|byte| byte.is_ascii_hexdigit())
            && run.bytes().any(|byte| byte.is_ascii_digit());
        let figures = end(|c| c.is_ascii_digit());
        let taken = match (random, figures >= DIGITS_MIN) {
            (true, _) => word,
            (false, true) => figures,
            (false, false) => 0,
        };
        if taken > 0 {
            if !out.ends_with('*') {
                out.push('*');
            }
            rest = &rest[taken..];
            continue;
        }
        // letters of one word belong together, so that a figure within is not looked at alone
        let step = if figures > 0 { figures } else { first.len_utf8() };
        out.push_str(&rest[..step]);
        rest = &rest[step..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_left_open() {
        for (text, open) in [
            ("/opt/agent/run.sh --all", "/opt/agent/run.sh --all"),
            ("/tmp/build-20261122/x.sh", "/tmp/build-*/x.sh"),
            ("/var/3f2a9c1b77/x", "/var/*/x"),
            ("backup 0197f3a2-6b1e-7c44-9d1a-000000000001", "backup *-6b1e-7c44-9d1a-*"),
            ("python3 -c 12", "python3 -c 12"),
            ("請求書 2026年11月", "請求書 *年11月"),
        ] {
            assert_eq!(open_parts(text), open);
        }
        assert_eq!(stable(TuningField::CommandLine, "12345"), None, "nothing would be left");
        let long = stable(TuningField::CommandLine, &"run ".repeat(500)).expect("a condition");
        assert!(long.operator == TuningOperator::Wildcard && long.values[0].ends_with('*'));
    }
}
