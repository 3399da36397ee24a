//! From rows as they were read to people, whatever they were read from.

use hinomi_model::{Person, RejectedRow, Text, Timestamp};
use std::collections::HashSet;

/// Longest value, characters.
const VALUE_CHARS_MAX: usize = 256;
/// Values of one kind per person.
const VALUES_MAX: usize = 500;
/// Rejected rows that are named.
const REJECTED_MAX: usize = 100;

/// A person as a source writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Draft {
    /// Line or entry, for people.
    pub row: String,
    /// What stays when everything else changes; empty = the first account or the mailbox.
    pub key: String,
    pub name: String,
    pub accounts: Vec<String>,
    pub sids: Vec<String>,
    pub mailbox: Option<String>,
    pub addresses: Vec<String>,
    pub devices: Vec<String>,
    pub department: Option<String>,
    pub title: Option<String>,
    pub disabled: bool,
}

/// What became of the rows.
pub(super) struct People {
    pub people: Vec<Person>,
    pub rejected: Vec<RejectedRow>,
    pub rejected_count: usize,
}

/// Makes people of rows; bad rows are told and left out.
pub(super) fn people(source: &str, rows: Vec<Draft>, now: Timestamp) -> People {
    let mut made = People { people: Vec::new(), rejected: Vec::new(), rejected_count: 0 };
    let mut keys = HashSet::new();
    for draft in rows.into_iter().take(super::PEOPLE_MAX) {
        let row = draft.row.clone();
        let person = person(source, draft, now).and_then(|person| match keys.insert(person.id.clone()) {
            true => Ok(person),
            false => Err(Text::new("the same key comes twice", "同じキーが 2 回あります")),
        });
        match person {
            Ok(person) => made.people.push(person),
            Err(reason) => {
                made.rejected_count += 1;
                if made.rejected.len() < REJECTED_MAX {
                    made.rejected.push(RejectedRow { row, reason });
                }
            }
        }
    }
    made
}

fn person(source: &str, draft: Draft, now: Timestamp) -> Result<Person, Text> {
    let accounts = values(draft.accounts, |value| value.to_lowercase());
    let mut addresses = values(draft.mailbox.iter().cloned().chain(draft.addresses).collect(), |v| v.to_lowercase());
    if let Some(bad) = addresses.iter().find(|address| !is_address(address)) {
        return Err(Text::new(
            format!("{bad:?} is not a mail address"),
            format!("{bad:?} はメールアドレスではありません"),
        ));
    }
    let mailbox = draft.mailbox.map(|mailbox| mailbox.trim().to_lowercase()).filter(|mailbox| !mailbox.is_empty());
    let mailbox = mailbox.or_else(|| addresses.first().cloned());
    if let Some(own) = mailbox.as_ref().and_then(|own| addresses.iter().position(|address| address == own)) {
        addresses[..=own].rotate_right(1);
    }
    if accounts.is_empty() && addresses.is_empty() {
        return Err(Text::new("neither an account nor an address", "アカウントもメールアドレスもありません"));
    }
    let all = [accounts.len(), addresses.len(), draft.sids.len(), draft.devices.len()];
    if all.iter().any(|count| *count > VALUES_MAX) {
        return Err(Text::new(
            format!("more than {VALUES_MAX} accounts, addresses or devices"),
            format!("アカウント、メールアドレス、端末のいずれかが {VALUES_MAX} 件を超えています"),
        ));
    }
    let first = accounts.first().or(addresses.first()).cloned().unwrap_or_default();
    let key = if draft.key.trim().is_empty() { first.clone() } else { draft.key.trim().to_owned() };
    let name = if draft.name.trim().is_empty() { first } else { draft.name.trim().to_owned() };
    let mut shown = [&key, &name].into_iter().chain(&accounts).chain(&draft.department).chain(&draft.title);
    let is_odd = |value: &String| value.chars().count() > VALUE_CHARS_MAX || value.chars().any(char::is_control);
    let odd = shown.any(is_odd);
    drop(shown);
    if odd {
        return Err(Text::new(
            format!("a value is longer than {VALUE_CHARS_MAX} characters or holds control characters"),
            format!("{VALUE_CHARS_MAX} 文字を超えるか、制御文字を含む値があります"),
        ));
    }
    Ok(Person {
        id: format!("{source}/{key}"),
        source: source.to_owned(),
        name,
        accounts,
        sids: values(draft.sids, |value| value.to_uppercase()),
        mailbox,
        addresses,
        devices: values(draft.devices, |value| value.to_lowercase()),
        department: draft.department.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        title: draft.title.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        disabled: draft.disabled,
        changed_at: now,
    })
}

/// Trimmed, in one case, without empty and repeated ones.
fn values(all: Vec<String>, case: impl Fn(&str) -> String) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(all.len());
    for value in all.iter().map(|value| case(value.trim())) {
        if !value.is_empty() && !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    let sound = !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ','));
    // 254: RFC 5321, section 4.5.3.1.3, without the angle brackets
    sound && text.len() <= 254 && parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}
