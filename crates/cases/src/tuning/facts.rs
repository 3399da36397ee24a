//! What an alert says, by field.

use super::like::fold;
use crate::message::url_domain;
use hinomi_model::{Alert, EntityKind, Evidence, EvidenceRole, TuningField};
use std::collections::{BTreeMap, BTreeSet};

/// The values of an alert by field, without case.
#[derive(Debug, Default)]
pub(super) struct Facts(BTreeMap<TuningField, BTreeSet<String>>);

impl Facts {
    pub fn of(alert: &Alert, tags: &[String]) -> Facts {
        let mut facts = Facts::default();
        facts.add(TuningField::Rule, &alert.rule_id);
        if let Some(device) = &alert.device {
            facts.add(TuningField::Device, &device.id.to_string());
            facts.add(TuningField::Device, &device.name);
        }
        tags.iter().for_each(|tag| facts.add(TuningField::DeviceTag, tag));
        alert.user.iter().for_each(|user| facts.add(TuningField::User, user));
        alert.mailboxes.iter().for_each(|mailbox| facts.add(TuningField::Recipient, mailbox));
        alert.evidence.iter().for_each(|piece| facts.learn(piece));
        facts
    }

    pub fn values(&self, field: TuningField) -> impl Iterator<Item = &str> {
        self.0.get(&field).into_iter().flatten().map(String::as_str)
    }

    fn add(&mut self, field: TuningField, value: &str) {
        let value = fold(value);
        if !value.is_empty() {
            self.0.entry(field).or_default().insert(value);
        }
    }

    fn learn(&mut self, piece: &Evidence) {
        use TuningField as F;
        let fact = |name: &str| piece.facts.get(name).map(String::as_str).unwrap_or_default();
        match piece.entity.kind {
            // the process that did it is suspicious, the one above it is there for context
            EntityKind::Process if piece.role == EvidenceRole::Contextual => {
                self.add(F::ParentName, &piece.name);
                self.add(F::ParentPath, fact("path"));
                self.add(F::ParentCommandLine, fact("command_line"));
            }
            EntityKind::Process => {
                self.add(F::FileName, &piece.name);
                self.add(F::FilePath, fact("path"));
                self.add(F::CommandLine, fact("command_line"));
                self.add(F::FileSha256, fact("sha256"));
                self.add(F::User, fact("account"));
            }
            EntityKind::File => {
                self.add(F::FileSha256, &piece.entity.value);
                self.add(F::FileName, &piece.name);
                self.add(F::FilePath, fact("path"));
            }
            EntityKind::User => self.add(F::User, &piece.entity.value),
            EntityKind::Ip => self.add(F::Address, &piece.entity.value),
            EntityKind::Domain => self.add(F::Domain, &piece.entity.value),
            EntityKind::Url => {
                self.add(F::Url, &piece.entity.value);
                url_domain(&piece.entity.value).iter().for_each(|domain| self.add(F::Domain, domain));
            }
            EntityKind::Sender => {
                self.add(F::Sender, &piece.entity.value);
                self.add(F::Address, fact("ip"));
                self.add(F::SenderDomain, piece.entity.value.rsplit_once('@').map_or("", |(_, domain)| domain));
            }
            EntityKind::Message => self.add(F::Subject, fact("subject")),
            EntityKind::Subject => self.add(F::Subject, &piece.entity.value),
            EntityKind::Device | EntityKind::Mailbox | EntityKind::MessageCopy | EntityKind::Certificate => {}
        }
    }
}
