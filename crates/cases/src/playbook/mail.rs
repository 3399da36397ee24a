//! Steps that follow a file into mail: the message, its twins, the mailboxes that hold it now.

use super::{Case, Fact, Outcome, Presence, Query, case_files, edge};
use crate::evidence::{copy_evidence, of_message};
use hinomi_model::{
    DeliveryLocation, EntityKey, EntityKind, MessageCopy, MessageCopyRef, MessageId, RemediationStatus, StepState, Text,
};
use std::collections::BTreeSet;

/// Messages followed by one investigation.
const MESSAGES_MAX: usize = 200;
/// Mailboxes asked at once.
const LOCATE_MAX: usize = 5_000;

pub(super) fn find_mail_queries(case: &Case<'_>, facts: &[Fact]) -> Vec<Query> {
    if facts.is_empty() {
        let files = case_files(case).filter(|piece| !piece.facts.contains_key("persistence"));
        let mut queries: Vec<Query> =
            files.map(|piece| Query::Seen { observable: piece.entity.clone(), by: EntityKind::MessageCopy }).collect();
        queries.extend(alert_messages(case).map(|message_id| Query::Copies { message_id }));
        return queries;
    }
    let asked = |id: &MessageId| {
        facts
            .iter()
            .any(|fact| matches!(fact, Fact::Copies(copies) if copies.iter().any(|copy| copy.message_id == *id)))
    };
    let second_round = facts.iter().any(|fact| matches!(fact, Fact::Copies(_)))
        && seen_messages(facts).all(|id| asked(&id) || alert_messages(case).any(|known| known == id));
    if second_round {
        return Vec::new();
    }
    let mut ids: Vec<MessageId> = seen_messages(facts).filter(|id| !asked(id)).collect();
    ids.sort();
    ids.dedup();
    ids.into_iter().take(MESSAGES_MAX).map(|message_id| Query::Copies { message_id }).collect()
}

fn alert_messages(case: &Case<'_>) -> impl Iterator<Item = MessageId> {
    let ids: BTreeSet<MessageId> = case.alerts.iter().filter_map(|alert| alert.message_id).collect();
    ids.into_iter().take(MESSAGES_MAX)
}

fn seen_messages(facts: &[Fact]) -> impl Iterator<Item = MessageId> + '_ {
    facts
        .iter()
        .flat_map(|fact| match fact {
            Fact::Seen { by: EntityKind::MessageCopy, sightings, .. } => sightings.as_slice(),
            _ => &[],
        })
        .filter_map(|sighting| Some(sighting.entity.as_message_copy()?.0))
}

fn copies(facts: &[Fact]) -> impl Iterator<Item = &MessageCopy> {
    facts.iter().flat_map(|fact| match fact {
        Fact::Copies(copies) => copies.as_slice(),
        _ => &[],
    })
}

pub(super) fn find_mail(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    let files: BTreeSet<&str> = case_files(case).map(|piece| piece.entity.value.as_str()).collect();
    let from_alert: BTreeSet<MessageId> = alert_messages(case).collect();
    let mut messages: Vec<&MessageCopy> = Vec::new();
    for copy in copies(facts) {
        let carries = copy.attachments.iter().any(|file| files.contains(file.sha256.as_str()));
        let known = messages.iter().any(|known| known.message_id == copy.message_id);
        if !known && (carries || from_alert.contains(&copy.message_id)) {
            messages.push(copy);
        }
    }
    messages.sort_by_key(|copy| (copy.received_at, copy.message_id));
    let Some(first) = messages.first() else {
        return Outcome::done("No mail brought this file.", "このファイルを運んだメールはありません。");
    };
    let mut outcome = Outcome::done("", "");
    for copy in &messages {
        let message = EntityKey::message(copy.message_id);
        for mut piece in of_message(copy, None) {
            match piece.entity.kind {
                EntityKind::MessageCopy => continue,
                EntityKind::Sender => outcome.edges.push(edge(&piece.entity, &message, "sent", "が送信")),
                EntityKind::Message => {
                    let names: Vec<&str> = copy.attachments.iter().take(10).map(|file| file.name.as_str()).collect();
                    piece.facts.insert("attachments".to_owned(), names.join(", "));
                }
                _ => {}
            }
            outcome.evidence.push(piece);
        }
        for file in copy.attachments.iter().filter(|file| files.contains(file.sha256.as_str())) {
            let entity = EntityKey::file(&file.sha256);
            outcome.edges.push(edge(&message, &entity, "carried", "に添付"));
            let scanner = super::proof::scanner(copy);
            let facts = [
                ("file_type", file.file_type.as_str()),
                ("attachment_name", file.name.as_str()),
                ("corroborated", "gateway"),
                ("scanner", scanner.map_or("", |one| one.engine.as_str())),
                ("bulk", if copy.bulk { "true" } else { "" }),
                ("parent_sha256", file.parent_sha256.as_deref().unwrap_or_default()),
            ];
            let role = hinomi_model::EvidenceRole::Source;
            outcome.evidence.push(crate::evidence::piece(entity, file.name.clone(), role, &facts, copy.received_at));
        }
    }
    outcome.result = Text::new(
        format!("{} messages; the first: \"{}\" from {}.", messages.len(), first.subject, first.sender_from),
        format!("{} 通のメール。最初は {} からの「{}」です。", messages.len(), first.sender_from, first.subject),
    );
    outcome
}

pub(super) fn find_twins_queries(case: &Case<'_>) -> Vec<Query> {
    case_messages(case).map(|message_id| Query::Copies { message_id }).collect()
}

fn case_messages(case: &Case<'_>) -> impl Iterator<Item = MessageId> {
    let ids: BTreeSet<MessageId> = case
        .investigation
        .evidence
        .iter()
        .filter(|piece| piece.entity.kind == EntityKind::Message)
        .filter_map(|piece| piece.entity.value.parse().ok())
        .collect();
    ids.into_iter().take(MESSAGES_MAX)
}

pub(super) fn find_twins(case: &Case<'_>, facts: &[Fact]) -> Outcome {
    let messages: BTreeSet<MessageId> = case_messages(case).collect();
    if messages.is_empty() {
        return Outcome::skipped("There is no mail to follow.", "たどるメールがありません。");
    }
    let mut outcome = Outcome::done("", "");
    let mut mailboxes = BTreeSet::new();
    for copy in copies(facts).filter(|copy| messages.contains(&copy.message_id)) {
        let evidence = copy_evidence(copy, &copy.message_id.to_string());
        outcome.edges.push(edge(&EntityKey::message(copy.message_id), &evidence.entity, "delivered to", "の配信先"));
        outcome.evidence.push(evidence);
        mailboxes.insert(copy.recipient.as_str());
    }
    outcome.result = Text::new(
        format!("{} messages went to {} mailboxes.", messages.len(), mailboxes.len()),
        format!("{} 通のメールが {} 個のメールボックスに届いています。", messages.len(), mailboxes.len()),
    );
    outcome
}

/// The copies of the investigation that were delivered.
fn delivered(case: &Case<'_>) -> Vec<MessageCopyRef> {
    let copies = case.investigation.evidence.iter().filter(|piece| {
        piece.remediation_status != RemediationStatus::Prevented
            && piece.facts.get("location").is_none_or(|location| *location != DeliveryLocation::Dropped.word())
    });
    copies
        .filter_map(|piece| piece.entity.as_message_copy())
        .map(|(message_id, recipient)| MessageCopyRef { message_id, recipient: recipient.to_owned() })
        .take(LOCATE_MAX)
        .collect()
}

pub(super) fn live_queries(case: &Case<'_>) -> Vec<Query> {
    match delivered(case) {
        copies if copies.is_empty() => Vec::new(),
        copies => vec![Query::Locate { copies }],
    }
}

pub(super) fn live(_case: &Case<'_>, facts: &[Fact]) -> Outcome {
    let located: Vec<&(MessageCopyRef, Presence)> = facts
        .iter()
        .flat_map(|fact| match fact {
            Fact::Located(located) => located.as_slice(),
            _ => &[],
        })
        .collect();
    if located.is_empty() {
        return Outcome::skipped("No copy was delivered to a mailbox.", "メールボックスに届いたものはありません。");
    }
    let mut outcome = Outcome::done("", "");
    let (mut present, mut absent, mut failed) = (0, 0, 0);
    for (copy, presence) in &located {
        let entity = EntityKey::message_copy(copy.message_id, &copy.recipient);
        match presence {
            Presence::Present(folder) => {
                present += 1;
                let detail = Text::new(format!("In folder {folder}."), format!("フォルダー {folder} にあります。"));
                outcome.statuses.push((entity, RemediationStatus::Active, Some(detail)));
            }
            Presence::Absent => {
                absent += 1;
                outcome.statuses.push((entity, RemediationStatus::NotFound, None));
            }
            Presence::Failed(reason) => {
                failed += 1;
                outcome.lines.push(Text::new(
                    format!("{}: {}", copy.recipient, reason.en),
                    format!("{}: {}", copy.recipient, reason.ja),
                ));
                outcome.statuses.push((entity, RemediationStatus::Active, Some(reason.clone())));
            }
        }
    }
    outcome.result = Text::new(
        format!("{present} mailboxes hold it now, {absent} no longer, {failed} could not be asked."),
        format!(
            "今も {present} 個のメールボックスにあり、{absent} 個にはもうなく、{failed} 個は確認できませんでした。"
        ),
    );
    if failed == located.len() {
        outcome.state = StepState::Failed;
        if let Some(line) = outcome.lines.first() {
            outcome.result = line.clone();
        }
    }
    outcome
}
