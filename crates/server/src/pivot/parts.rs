//! What a value is looked for by, and what belongs to it.

use super::{Result, VALUES_MAX, Work};
use hinomi_api::PivotRelated;
use hinomi_cases::url_domain;
use hinomi_mail::parse::{normalise_url, registrable_domain};
use hinomi_model::{DeviceId, EntityKey, EntityKind, MessageId, PivotRelation, PivotType};
use std::collections::BTreeSet;

/// Things that belong to a value, of an answer.
const RELATED_MAX: usize = 50;

impl Work<'_> {
    /// Finds the entity asked for and what to look for on devices; tells what other files a short hash
    /// may mean.
    pub(super) async fn understand(&mut self) -> Result<Vec<PivotRelated>> {
        let value = self.asked.value.as_str();
        let store = &self.ctx.store;
        let mut related = Vec::new();
        let entity = match self.asked.pivot_type {
            PivotType::Sha256 => Some(EntityKey::file(value)),
            PivotType::Sha1 | PivotType::Md5 => {
                let mut files = store.files_of_hash(value).await?.into_iter();
                let first = files.next();
                for other in files {
                    let entity = EntityKey::file(&other);
                    related.push(self.belonging(PivotRelation::SameHash, entity, other).await?);
                }
                first.map(|file| EntityKey::file(&file))
            }
            PivotType::Url => {
                let normal = normalise_url(value).unwrap_or_else(|| value.to_owned());
                if normal != value {
                    // a device may have written it another way than mails do
                    self.values.push(EntityKey::url(value));
                }
                Some(EntityKey::url(&normal))
            }
            PivotType::Domain => Some(EntityKey::domain(value)),
            PivotType::Ip => Some(EntityKey::ip(value)),
            PivotType::MailAddress => Some(EntityKey::sender(value)),
            PivotType::InternetMessageId => None,
            PivotType::Message => value.parse::<MessageId>().ok().map(EntityKey::message),
            PivotType::Account => Some(EntityKey::user(value)),
            PivotType::Device => {
                self.named = match value.parse::<DeviceId>() {
                    Ok(id) => store.device(id).await?.into_iter().collect(),
                    Err(_) => store.devices_named(value).await?,
                };
                self.named.first().map(|device| EntityKey::device(device.id))
            }
        };
        match self.asked.pivot_type {
            PivotType::MailAddress => self.values.extend(self.accounts_of(EntityKey::mailbox(value)).await?),
            PivotType::Account => {
                // the same account as devices without a domain write it
                let plain = value.rsplit_once('\\').map_or(value, |(_, plain)| plain);
                self.values.extend([EntityKey::user(value), EntityKey::user(plain)]);
                self.values.dedup();
            }
            PivotType::Device | PivotType::Message | PivotType::InternetMessageId => {}
            _ => self.values.extend(entity.clone()),
        }
        self.entity = entity;
        Ok(related)
    }

    /// The accounts of the person a mailbox belongs to.
    async fn accounts_of(&self, mailbox: EntityKey) -> Result<Vec<EntityKey>> {
        let people = self.ctx.store.people_of(&[mailbox]).await?;
        let accounts: BTreeSet<EntityKey> =
            people.iter().flat_map(|(person, _)| &person.accounts).map(|account| EntityKey::user(account)).collect();
        Ok(accounts.into_iter().take(VALUES_MAX).collect())
    }

    /// What belongs to the value, as its messages show it.
    pub(super) async fn related(&mut self) -> Result<Vec<PivotRelated>> {
        let mut found: BTreeSet<(PivotRelation, EntityKey, String)> = BTreeSet::new();
        let value = self.entity.as_ref().map(|entity| entity.value.clone()).unwrap_or_default();
        for copy in &self.copies {
            match self.asked.pivot_type {
                PivotType::Sha256 | PivotType::Sha1 | PivotType::Md5 => {
                    let parents: BTreeSet<&str> = copy
                        .attachments
                        .iter()
                        .filter(|file| file.sha256 == value)
                        .filter_map(|file| file.parent_sha256.as_deref())
                        .collect();
                    for file in &copy.attachments {
                        if parents.contains(file.sha256.as_str()) {
                            found.insert((PivotRelation::Inside, EntityKey::file(&file.sha256), file.name.clone()));
                        }
                        if file.parent_sha256.as_deref() == Some(value.as_str()) {
                            found.insert((PivotRelation::Contains, EntityKey::file(&file.sha256), file.name.clone()));
                        }
                    }
                }
                PivotType::Message | PivotType::InternetMessageId => {
                    let files = copy.attachments.iter();
                    found.extend(
                        files.map(|file| (PivotRelation::File, EntityKey::file(&file.sha256), file.name.clone())),
                    );
                    found.extend(copy.urls.iter().map(|url| (PivotRelation::Url, EntityKey::url(url), url.clone())));
                    let sender = EntityKey::sender(&copy.sender_from);
                    found.insert((PivotRelation::Sender, sender, copy.sender_display_name.clone()));
                }
                PivotType::Domain => {
                    let within = |url: &&String| {
                        url_domain(url).is_some_and(|host| {
                            host == value || host.strip_suffix(&value).is_some_and(|rest| rest.ends_with('.'))
                        })
                    };
                    let urls = copy.urls.iter().filter(within);
                    found.extend(urls.map(|url| (PivotRelation::Url, EntityKey::url(url), url.clone())));
                }
                _ => {}
            }
        }
        if self.asked.pivot_type == PivotType::Url
            && let Some(host) = url_domain(&value)
        {
            let own = registrable_domain(&host).map(str::to_owned);
            for domain in [Some(host.clone()), own].into_iter().flatten() {
                found.insert((PivotRelation::Domain, EntityKey::domain(&domain), domain));
            }
        }
        if found.len() > RELATED_MAX {
            self.truncated.insert("related");
        }
        let mut related: Vec<PivotRelated> = Vec::new();
        for (relation, entity, name) in found.into_iter().take(RELATED_MAX) {
            // one file under several names is one thing
            if related.iter().all(|known| known.relation != relation || known.entity != entity) {
                related.push(self.belonging(relation, entity, name).await?);
            }
        }
        Ok(related)
    }

    async fn belonging(&self, relation: PivotRelation, entity: EntityKey, name: String) -> Result<PivotRelated> {
        let devices = self.ctx.store.seen(&entity, EntityKind::Device, 0).await?.entities;
        Ok(PivotRelated { relation, entity, name, devices })
    }
}
