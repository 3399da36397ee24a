//! Judges one message.

use super::events::{Seen, rows};
use crate::config::OnBlock;
use crate::ids;
use crate::ingest::{Ingest, Source};
use crate::mailboxes::FileVault;
use crate::verdicts;
use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_detect::{Hit, IndicatorSet, Scene, When};
use hinomi_mail::auth::{Authenticator, Client};
use hinomi_mail::filters::{self, Handed, TrustedFilter};
use hinomi_mail::milter::{Decision, Envelope, Judge};
use hinomi_mail::parse::{Analysis, Limits, analyse, domain_of};
use hinomi_model::{
    DeliveryAction, DeliveryLocation, Event, IndicatorAction, IndicatorKind, MailSource, MessageId, Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Our header: pairs a mail in a mailbox with what the gateway wrote down. Taken off incoming mail.
const OUR_HEADER: &str = "X-Hinomi-Message-Id";
/// Our header: names the kind and id of an indicator that asks to warn. Taken off incoming mail.
const WARNING_HEADER: &str = "X-Hinomi-Warning";

/// Messages analysed at the same time: the work is computing, so more than this only takes memory.
fn analyses_max() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get) * 2
}

/// Settings of the gateway.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// The organisation's own domains, lower case.
    pub own_domains: Vec<String>,
    /// What happens to a blocked message.
    pub on_block: OnBlock,
    /// Longest time for SPF, DKIM and DMARC; none = nobody is asked.
    pub authentication_deadline: Option<Duration>,
    /// Longest time for taking attachments apart.
    pub analysis_deadline: Duration,
    /// Filters of the site whose headers are believed.
    pub trusted_filters: Vec<TrustedFilter>,
}

/// Source of the indicators in force.
pub type Indicators = Arc<dyn Fn() -> Arc<IndicatorSet> + Send + Sync>;

/// The judge behind the milter.
pub struct Gateway {
    options: GatewayOptions,
    limits: Limits,
    ingest: Ingest,
    vault: FileVault,
    indicators: Indicators,
    authenticator: Authenticator,
    places: Semaphore,
}

/// A message that was taken apart and judged.
pub(crate) struct Examined {
    /// Its rows, in parts the ingest log takes.
    pub parts: Vec<Vec<Event>>,
    /// Why it is blocked.
    pub blocked: Option<String>,
    /// What its warning says.
    pub warning: Option<String>,
}

/// A message in quarantine: what the mail server would have delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedMail {
    /// NetworkMessageId.
    pub message_id: MessageId,
    /// Envelope sender.
    pub mail_from: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// Why it was stopped.
    pub reason: String,
}

/// Key of a quarantined message in the vault. Its content is one line of [`QuarantinedMail`] as
/// JSON, then the raw mail.
pub fn quarantine_key(id: MessageId) -> String {
    hex::encode(Sha256::digest(format!("gateway\0{id}")))
}

impl Gateway {
    /// Builds the judge.
    pub fn new(options: GatewayOptions, ingest: Ingest, vault: FileVault, indicators: Indicators) -> Self {
        let authenticator = match options.authentication_deadline {
            Some(deadline) => Authenticator::system(deadline),
            None => Authenticator::without_dns(),
        };
        let limits = Limits { time_max: options.analysis_deadline, ..Limits::default() };
        let places = Semaphore::new(analyses_max());
        Gateway { options, limits, ingest, vault, indicators, authenticator, places }
    }

    async fn decide(&self, envelope: Envelope, raw: Bytes) -> Result<Decision, String> {
        let id: MessageId = ids::new();
        let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
        let Examined { parts, blocked: reason, warning } = self.examine(id, now, &envelope, raw).await?;
        for part in parts {
            self.ingest.append(Source::Gateway, part).await.map_err(|error| format!("events not stored: {error}"))?;
        }
        Ok(match (reason, self.options.on_block) {
            (None, _) => Decision::Deliver {
                add_headers: std::iter::once((OUR_HEADER.to_owned(), id.to_string()))
                    .chain(warning.map(|text| (WARNING_HEADER.to_owned(), text)))
                    .collect(),
                remove_headers: vec![OUR_HEADER.to_owned(), WARNING_HEADER.to_owned()],
            },
            (Some(reason), OnBlock::Quarantine) => Decision::Quarantine { reason },
            (Some(_), OnBlock::Reject) => Decision::Reject { text: format!("refused by policy, reference {id}") },
        })
    }

    /// Takes a message apart and judges it. A message to be quarantined is in the vault then.
    ///
    /// # Errors
    /// When it cannot be analysed or quarantined.
    pub(crate) async fn examine(
        &self,
        id: MessageId,
        now: Timestamp,
        envelope: &Envelope,
        raw: Bytes,
    ) -> Result<Examined, String> {
        let client = Client { ip: envelope.client_ip, helo: &envelope.helo, mail_from: &envelope.mail_from };
        let (analysis, auth) = tokio::join!(self.analyse(raw.clone()), self.authenticator.check(client, &raw));
        let analysis = analysis?;
        let fields = filters::fields(&raw);
        let mut said = filters::said(&fields, Handed::Known(envelope.client_ip), &self.options.trusted_filters);
        said.verdicts.extend(verdicts::of_analysis(self.ingest.store(), &analysis).await);
        // behind a filter of the site, what it saw counts: the address that reached us is the filter's
        let auth = said.auth.take().unwrap_or(auth);
        let hits = hits(&(self.indicators)(), envelope, &analysis, now);
        let blocked = hits.iter().find(|hit| hit.action.blocks());
        let warned = hits.iter().find(|hit| hit.action == IndicatorAction::Warn);
        // nothing the sender wrote: the kind and the id only
        let warning = warned.map(|hit| format!("{} {}", hit.kind.word(), hit.id));
        let (action, location) = match (blocked, self.options.on_block) {
            (None, _) => (DeliveryAction::Delivered, DeliveryLocation::Inbox),
            (Some(_), OnBlock::Quarantine) => (DeliveryAction::Blocked, DeliveryLocation::Quarantine),
            (Some(_), OnBlock::Reject) => (DeliveryAction::Blocked, DeliveryLocation::Dropped),
        };
        let reason = blocked.map(|hit| format!("{} {}", hit.kind.word(), hit.value));
        if let (Some(reason), OnBlock::Quarantine) = (&reason, self.options.on_block) {
            self.quarantine(id, envelope, now, reason, &raw).await?;
        }
        let seen = Seen {
            id,
            at: now,
            envelope,
            analysis: &analysis,
            auth: &auth,
            hits: &hits,
            action,
            location,
            source: MailSource::Gateway,
            filters: &said.verdicts,
            bulk: filters::is_bulk(&fields),
            folder: None,
        };
        Ok(Examined { parts: rows(&seen, &self.options.own_domains), blocked: reason, warning })
    }

    async fn analyse(&self, raw: Bytes) -> Result<Analysis, String> {
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let limits = self.limits.clone();
        tokio::task::spawn_blocking(move || analyse(&raw, &limits)).await.map_err(|error| error.to_string())
    }

    async fn quarantine(
        &self,
        id: MessageId,
        envelope: &Envelope,
        now: Timestamp,
        reason: &str,
        raw: &[u8],
    ) -> Result<(), String> {
        if envelope.truncated {
            return Err("a message beyond the size limit cannot be quarantined whole".to_owned());
        }
        let mail = QuarantinedMail {
            message_id: id,
            mail_from: envelope.mail_from.clone(),
            recipients: envelope.recipients.clone(),
            received_at: now,
            reason: reason.to_owned(),
        };
        let mut content = serde_json::to_vec(&mail).map_err(|error| error.to_string())?;
        content.push(b'\n');
        content.extend_from_slice(raw);
        self.vault
            .keep(&quarantine_key(id), content)
            .await
            .map(drop)
            .map_err(|error| format!("not quarantined: {error}"))
    }
}

impl Judge for Gateway {
    fn judge(&self, envelope: Envelope, raw: Bytes) -> BoxFuture<'_, Result<Decision, String>> {
        Box::pin(self.decide(envelope, raw))
    }
}

/// Looks up everything a message carries. Allowed values say nothing about others. An indicator that
/// counts for some domains counts when one recipient is of them: a message is one, for all of them.
pub(crate) fn hits(set: &IndicatorSet, envelope: &Envelope, analysis: &Analysis, now: Timestamp) -> Vec<Hit> {
    if set.is_empty() {
        return Vec::new();
    }
    let domains: Vec<String> = match set.is_scoped() {
        true => envelope.recipients.iter().map(|one| domain_of(&one.to_lowercase()).to_owned()).collect(),
        false => Vec::new(),
    };
    let when = When { at: now, scene: Scene::Mail(&domains) };
    let hashes = analysis.files.iter().flat_map(|file| {
        [
            (IndicatorKind::FileSha256, &file.attachment.sha256),
            (IndicatorKind::FileSha1, &file.sha1),
            (IndicatorKind::FileMd5, &file.md5),
        ]
    });
    let files = hashes.filter_map(|(kind, hash)| set.hash(kind, hash, when));
    let urls = analysis.urls.iter().filter_map(|url| set.url(&url.url, when));
    let senders = [envelope.mail_from.as_str(), analysis.from_address.as_str()];
    let senders = senders.into_iter().filter(|sender| !sender.is_empty()).filter_map(|sender| set.sender(sender, when));
    let subject = set.subject(&analysis.subject, when);
    let address = envelope.client_ip.and_then(|ip| set.ip(&ip.to_string(), when));
    let mut hits: Vec<Hit> = Vec::new();
    for hit in files.chain(urls).chain(senders).chain(subject).chain(address) {
        if hit.action != IndicatorAction::Allow && hits.iter().all(|known| known.id != hit.id) {
            hits.push(hit);
        }
    }
    hits
}
