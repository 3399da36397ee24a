//! Steps about a mail itself: what it carries, who sent it, what is known of sender and links, and which
//! devices followed them.

use super::proof::scanner;
use super::{Case, Fact, Outcome, Query, edge, used_widely};
use crate::evidence::{of_message, piece};
use crate::url_domain;
use hinomi_model::{EntityKey, EntityKind, EvidenceRole, MessageCopy, MessageId, Text};
use std::collections::{BTreeMap, BTreeSet};

/// Messages looked at.
const MESSAGES_MAX: usize = 50;
/// Links of one message that are followed.
const URLS_MAX: usize = 20;

/// The messages the alerts are about.
fn messages(case: &Case<'_>) -> BTreeSet<MessageId> {
    case.alerts.iter().filter_map(|alert| alert.message_id).take(MESSAGES_MAX).collect()
}

/// One copy of each message among the facts.
fn copies(facts: &[Fact]) -> Vec<&MessageCopy> {
    let mut found: BTreeMap<MessageId, &MessageCopy> = BTreeMap::new();
    for fact in facts {
        let Fact::Copies(copies) = fact else { continue };
        for copy in copies {
            found.entry(copy.message_id).or_insert(copy);
        }
    }
    found.into_values().collect()
}

/// Links and the names in them.
fn links(copy: &MessageCopy) -> Vec<EntityKey> {
    let urls = copy.urls.iter().take(URLS_MAX);
    let mut found: Vec<EntityKey> = urls.clone().map(|url| EntityKey::url(url)).collect();
    found.extend(urls.filter_map(|url| url_domain(url)).map(|name| EntityKey::domain(&name)));
    found.sort();
    found.dedup();
    found
}

pub(super) fn identify_queries(case: &Case<'_>, facts: &[Fact]) -> Vec<Query> {
    if facts.is_empty() {
        return messages(case).into_iter().map(|message_id| Query::Copies { message_id }).collect();
    }
    if facts.iter().any(|fact| matches!(fact, Fact::Seen { .. } | Fact::Indicator { .. })) {
        return Vec::new();
    }
    let mut values: BTreeSet<EntityKey> = BTreeSet::new();
    let mut queries = Vec::new();
    for copy in copies(facts) {
        let sender = EntityKey::sender(&copy.sender_from);
        if values.insert(sender.clone()) {
            queries.push(Query::Seen { observable: sender, by: EntityKind::MessageCopy });
        }
        values.extend(links(copy));
    }
    queries.extend(values.into_iter().map(|entity| Query::Indicator { entity }));
    queries
}

pub(super) fn identify(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    let copies = copies(facts);
    let Some(first) = copies.first() else {
        return match messages(case).is_empty() {
            true => Outcome::skipped("The alert names no mail.", "アラートにメールがありません。"),
            false => Outcome::failed(Text::new("The mail is not known (any more).", "メールの記録がありません。")),
        };
    };
    let blocked: BTreeMap<&EntityKey, &str> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Indicator { entity, indicator: Some(known) } if known.spec.action.blocks() => {
                Some((entity, known.created_by.as_str()))
            }
            _ => None,
        })
        .collect();
    let mut outcome = Outcome::done("", "");
    for copy in &copies {
        let message = EntityKey::message(copy.message_id);
        let own = facts.iter().filter_map(|fact| match fact {
            Fact::Copies(copies) => Some(copies),
            _ => None,
        });
        let mut twins = own.flatten().filter(|twin| twin.message_id == copy.message_id);
        let scanner = twins.find_map(scanner);
        let findings = copy.findings.join(", ");
        let mut said = vec![("findings", findings)];
        said.extend(scanner.map(|one| ("scanner", format!("{}: {}", one.engine, one.reason))));
        said.extend(copy.bulk.then(|| ("bulk", "true".to_owned())));
        for mut known in of_message(copy, None) {
            match known.entity.kind {
                EntityKind::Message => {
                    known.facts.extend(said.iter().map(|(key, text)| ((*key).to_owned(), text.clone())))
                }
                EntityKind::Sender => {
                    outcome.edges.push(edge(&known.entity, &message, "sent", "が送信"));
                    known.facts.extend(history(&known.entity, facts));
                }
                _ => {}
            }
            known.facts.retain(|_, text| !text.is_empty());
            outcome.evidence.push(known);
        }
        for link in links(copy) {
            let at = copy.received_at;
            outcome.edges.push(edge(&message, &link, "links to", "のリンク先"));
            outcome.evidence.push(piece(link.clone(), link.value.clone(), EvidenceRole::Source, &[], at));
        }
        // what an administrator blocks makes the mail bad
        let own = links(copy).into_iter().chain([EntityKey::sender(&copy.sender_from)]);
        for (value, by) in own.filter_map(|value| Some((value.clone(), *blocked.get(&value)?))) {
            for piece in outcome.evidence.iter_mut().filter(|piece| piece.entity == value || piece.entity == message) {
                piece.facts.insert("indicator".to_owned(), "block".to_owned());
            }
            outcome.lines.push(Text::new(
                format!("{} is on the block list (added by {by}).", value.value),
                format!("{} はブロック一覧にあります（{by} が登録）。", value.value),
            ));
        }
    }
    let auth = &first.auth;
    outcome.result = Text::new(
        format!(
            "\"{}\" from {}: SPF {}, DKIM {}, DMARC {}; {} attachments, {} links.",
            first.subject,
            first.sender_from,
            auth.spf,
            auth.dkim,
            auth.dmarc,
            first.attachments.len(),
            first.urls.len()
        ),
        format!(
            "{} からの「{}」: SPF {}、DKIM {}、DMARC {}。添付 {} 件、リンク {} 件です。",
            first.sender_from,
            first.subject,
            auth.spf,
            auth.dkim,
            auth.dmarc,
            first.attachments.len(),
            first.urls.len()
        ),
    );
    outcome
}

/// How much this sender wrote us before.
fn history(sender: &EntityKey, facts: &[Fact]) -> Vec<(String, String)> {
    let seen = facts.iter().find_map(|fact| match fact {
        Fact::Seen { observable, sightings, total, .. } if observable == sender => {
            Some((*total, sightings.iter().map(|sighting| sighting.first_seen).min()))
        }
        _ => None,
    });
    let Some((total, first)) = seen else { return Vec::new() };
    let mut told = vec![("copies".to_owned(), total.to_string())];
    told.extend(first.map(|first| ("first_seen".to_owned(), first.to_string())));
    told
}

/// Links of the mails of the case.
fn followed<'a>(case: &'a Case<'_>) -> BTreeSet<&'a EntityKey> {
    let from_mail = case.investigation.edges.iter().filter(|edge| edge.from.kind == EntityKind::Message);
    from_mail.map(|edge| &edge.to).filter(|to| matches!(to.kind, EntityKind::Url | EntityKind::Domain)).collect()
}

pub(super) fn follow_queries(case: &Case<'_>) -> Vec<Query> {
    let seen = |link: &EntityKey| Query::Seen { observable: link.clone(), by: EntityKind::Device };
    followed(case).into_iter().map(seen).collect()
}

pub(super) fn follow(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    if followed(case).is_empty() {
        return Outcome::skipped("The mail has no links.", "メールにリンクがありません。");
    }
    let since = case.alerts.iter().map(|alert| alert.first_activity).min().unwrap_or_default();
    let mut outcome = Outcome::done("", "");
    let mut went: BTreeSet<&EntityKey> = BTreeSet::new();
    for fact in facts {
        let Fact::Seen { observable, by: EntityKind::Device, sightings, total } = fact else { continue };
        if let Some(line) = used_widely(observable, *total) {
            outcome.lines.push(line);
            continue;
        }
        for sighting in sightings.iter().filter(|sighting| sighting.last_seen >= since) {
            let facts = [("followed", observable.value.as_str())];
            let name = sighting.entity.value.clone();
            let device = piece(sighting.entity.clone(), name, EvidenceRole::Attacked, &facts, sighting.last_seen);
            outcome.evidence.push(device);
            outcome.edges.push(edge(&sighting.entity, observable, "went to", "がアクセス"));
            went.insert(&sighting.entity);
        }
    }
    outcome.result = match went.len() {
        0 => Text::new("No device went there.", "アクセスしたデバイスはありません。"),
        n => Text::new(format!("{n} devices went there."), format!("{n} 台のデバイスがアクセスしました。")),
    };
    outcome
}
