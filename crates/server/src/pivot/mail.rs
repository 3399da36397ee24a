//! The messages of a pivot.

use super::{Result, Work};
use hinomi_api::{PivotMessage, RecipientState};
use hinomi_model::{MailField, MailFilter, MessageCopy, MessageId, PivotType};
use hinomi_store::{ExploredMessage, Page};
use std::collections::BTreeMap;

/// Messages of an answer.
const MESSAGES_MAX: usize = 100;
/// Copies shown of one message.
const COPIES_MAX: usize = 50;
/// Archives in archives whose names are told.
const DEPTH_MAX: usize = 16;

impl Work<'_> {
    /// Finds the messages that carried the value, went to it or came from it.
    pub(super) async fn find_mail(&mut self) -> Result<()> {
        let mut found: BTreeMap<MessageId, ExploredMessage> = BTreeMap::new();
        let (mut most, mut exact, mut more) = (0, true, false);
        for filter in self.filters().await? {
            let page = self.ctx.store.explore(&filter, &Page::first(MESSAGES_MAX as u32)).await?;
            most = most.max(page.total.count);
            exact &= page.total.exact;
            more |= page.next.is_some();
            let keyed = page.items.into_iter().filter_map(|one| Some((one.copies.first()?.message_id, one)));
            found.extend(keyed);
        }
        let mut items: Vec<ExploredMessage> = found.into_values().collect();
        items.sort_by_key(|one| std::cmp::Reverse(one.copies[0].received_at));
        more |= items.len() > MESSAGES_MAX;
        let count = items.len() as i64;
        items.truncate(MESSAGES_MAX);
        items.reverse();
        if more {
            self.truncated.insert("messages");
        }
        if items.iter().any(|one| one.copy_count > one.copies.len() as i64) {
            self.truncated.insert("copies");
        }
        // several fields may pick the same message: more than the largest of them is certain only
        // when all of them were seen whole
        self.messages.total = if more { most.max(count) } else { count };
        self.messages.exact = !more || (exact && self.filters().await?.len() < 2);
        for one in &items {
            let at = one.copies[0].received_at;
            self.saw(Some(at), Some(at));
        }
        self.messages.items = items.iter().map(|one| self.message(one)).collect();
        self.copies = items.into_iter().flat_map(|one| one.copies).collect();
        Ok(())
    }

    async fn filters(&self) -> Result<Vec<MailFilter>> {
        let one = |field, value: &str| MailFilter::default().with(field, value);
        let value = self.asked.value.as_str();
        let entity = self.entity.as_ref().map(|entity| entity.value.as_str());
        Ok(match (self.asked.pivot_type, entity) {
            (PivotType::Sha256 | PivotType::Sha1 | PivotType::Md5, Some(file)) => {
                vec![one(MailField::AttachmentSha256, file)]
            }
            (PivotType::Url, Some(url)) => vec![one(MailField::Url, url)],
            (PivotType::Domain, _) => {
                [MailField::UrlDomain, MailField::SenderDomain, MailField::MailFromDomain, MailField::RecipientDomain]
                    .map(|field| one(field, value))
                    .to_vec()
            }
            (PivotType::Ip, _) => vec![one(MailField::SenderIp, value)],
            (PivotType::MailAddress, _) => vec![one(MailField::Sender, value), one(MailField::Recipient, value)],
            (PivotType::InternetMessageId, _) => vec![one(MailField::InternetMessageId, value)],
            (PivotType::Message, Some(_)) => vec![one(MailField::Message, value)],
            (PivotType::Account, Some(_)) => {
                let people = self.ctx.store.people_of(&[hinomi_model::EntityKey::user(value)]).await?;
                let mailboxes = people.iter().flat_map(|(person, _)| &person.addresses);
                mailboxes.take(COPIES_MAX).map(|address| one(MailField::Recipient, address)).collect()
            }
            _ => Vec::new(),
        })
    }

    fn message(&self, found: &ExploredMessage) -> PivotMessage {
        let first = &found.copies[0];
        PivotMessage {
            id: first.message_id,
            internet_message_id: first.internet_message_id.clone(),
            subject: first.subject.clone(),
            sender: first.sender_from.clone(),
            received_at: first.received_at,
            source: first.source,
            direction: first.direction,
            verdict: first.verdict,
            carried_as: self.carried_as(first),
            copies: found.copies.iter().take(COPIES_MAX).map(RecipientState::of).collect(),
            copy_count: found.copy_count,
        }
    }

    /// The names of the file asked for and of the archives around it, outermost first.
    fn carried_as(&self, copy: &MessageCopy) -> Vec<String> {
        let mut names = Vec::new();
        let mut next = self.entity.as_ref().map(|entity| entity.value.as_str());
        while let Some(file) = copy.attachments.iter().find(|file| Some(file.sha256.as_str()) == next) {
            if names.len() == DEPTH_MAX {
                break;
            }
            names.push(file.name.clone());
            next = file.parent_sha256.as_deref();
        }
        names.reverse();
        names
    }
}
