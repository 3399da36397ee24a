//! The journal address: copies of mails from a mail server that will not put us in line. They are
//! analysed, judged and written down like mail at the gateway, only that nothing can be stopped.
//!
//! How to set up Postfix, and where recipients come from: `docs/mail-journal.md`.

pub(crate) mod identity;
mod recipients;

use crate::app::Ctx;
use crate::config::JournalConfig;
use crate::gateway::events::{Seen, rows};
use crate::gateway::hits;
use crate::ingest::Source;
use crate::verdicts;
use anyhow::{Context, Result};
use bytes::Bytes;
use futures::future::BoxFuture;
use hinomi_mail::filters::{self, Handed};
use hinomi_mail::lmtp::{Envelope, Limits, LmtpServer, Receiver};
use hinomi_mail::milter;
use hinomi_mail::parse::{self, Analysis, analyse};
use hinomi_model::{AuthResults, DeliveryAction, DeliveryLocation, Event, MailSource, MessageId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Analyses at the same time: the work is computing.
const ANALYSES_MAX: usize = 2;
/// Longest time for taking a mail's attachments apart.
const ANALYSIS_TIME_MAX: Duration = Duration::from_secs(5);

/// Serves the journal address until the server stops.
///
/// # Errors
/// When the listener is of no use.
pub async fn serve(ctx: Ctx, config: JournalConfig, listener: TcpListener) -> Result<()> {
    let limits = Limits {
        message_bytes_max: usize::try_from(ctx.config.gateway.message_bytes_max).unwrap_or(usize::MAX),
        ..Limits::default()
    };
    let stop = ctx.stop.clone();
    let journal = Arc::new(Journal { reader: Reader::new(ctx), config });
    let mut server = LmtpServer::start(listener, journal, limits).context("start the journal listener")?;
    tracing::info!(addr = %server.addr, "the journal address is served on {}", server.addr);
    tokio::select! {
        () = stop.cancelled() => {}
        () = server.wait() => anyhow::bail!("the journal listener ended"),
    }
    Ok(())
}

struct Journal {
    reader: Reader,
    config: JournalConfig,
}

impl Receiver for Journal {
    fn take(&self, envelope: Envelope, raw: Bytes) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move { self.write_down(envelope, raw).await.map_err(|error| format!("{error:#}")) })
    }
}

impl Journal {
    async fn write_down(&self, envelope: Envelope, raw: Bytes) -> Result<()> {
        let ctx = &self.reader.ctx;
        let mail = self.reader.read(raw).await?;
        let (mut recipients, certain) =
            recipients::recipients(&self.config, &envelope.recipients, &mail.fields, &mail.analysis.recipients);
        if recipients.is_empty() {
            // better a row under the journal's own address than none
            recipients = envelope.recipients.clone();
        }
        if !certain {
            tracing::debug!("the recipients of a journalled mail come from its headers");
        }
        let found = Found {
            at: ctx.now(),
            mail_from: envelope.mail_from,
            recipients,
            location: DeliveryLocation::Inbox,
            source: MailSource::Journal,
            folder: None,
        };
        let id = identity::message_of(&ctx.store, &mail.analysis).await?;
        for part in self.reader.rows(&mail, id, found).await? {
            ctx.ingest.append(Source::Journal, part).await.context("store the rows of a journalled mail")?;
        }
        Ok(())
    }
}

/// Reads mails that did not come through the gateway.
pub(crate) struct Reader {
    pub ctx: Ctx,
    limits: parse::Limits,
    places: Semaphore,
}

/// A mail that was read.
pub(crate) struct ReadMail {
    pub analysis: Analysis,
    pub fields: Vec<filters::Field>,
}

/// Where and how a mail was found.
pub(crate) struct Found<'f> {
    pub at: Timestamp,
    pub mail_from: String,
    pub recipients: Vec<String>,
    pub location: DeliveryLocation,
    pub source: MailSource,
    pub folder: Option<&'f str>,
}

impl Reader {
    pub fn new(ctx: Ctx) -> Self {
        let limits = parse::Limits { time_max: ANALYSIS_TIME_MAX, ..parse::Limits::default() };
        Reader { ctx, limits, places: Semaphore::new(ANALYSES_MAX) }
    }

    /// Takes a mail apart.
    pub async fn read(&self, raw: Bytes) -> Result<ReadMail> {
        let _place = self.places.acquire().await?;
        let limits = self.limits.clone();
        let read = move || ReadMail { fields: filters::fields(&raw), analysis: analyse(&raw, &limits) };
        tokio::task::spawn_blocking(read).await.context("analysis of a mail")
    }

    /// Finds which message a mail in a mailbox is, and which of its recipients the mailbox is.
    pub async fn recipient(&self, mail: &ReadMail, mailbox: &str) -> Result<(MessageId, String)> {
        let id = identity::message_of(&self.ctx.store, &mail.analysis).await?;
        if let Some(mailboxes) = self.ctx.mail.get() {
            let recipients: Vec<String> =
                self.ctx.store.message_copies(id).await?.into_iter().map(|copy| copy.recipient).collect();
            if let Some(known) = mailboxes.recipient_of(mailbox, recipients).await {
                return Ok((id, known));
            }
        }
        let own = self.ctx.config.gateway.own_domains.first();
        Ok((
            id,
            match own {
                Some(domain) if !mailbox.contains('@') => format!("{mailbox}@{domain}").to_lowercase(),
                _ => mailbox.to_lowercase(),
            },
        ))
    }

    /// Builds the rows of a mail, in parts the ingest log takes.
    pub async fn rows(&self, mail: &ReadMail, id: MessageId, found: Found<'_>) -> Result<Vec<Vec<Event>>> {
        let ReadMail { analysis, fields } = mail;
        let gateway = &self.ctx.config.gateway;
        let handed = Handed::Written(&gateway.own_servers);
        let mut said = filters::said(fields, handed, &gateway.trusted_filters);
        said.verdicts.extend(verdicts::of_analysis(&self.ctx.store, analysis).await);
        let envelope = milter::Envelope {
            mail_from: found.mail_from,
            recipients: found.recipients,
            client_ip: filters::handed_in_by(fields, &gateway.own_servers),
            ..milter::Envelope::default()
        };
        let hits = hits(&self.ctx.indicators.get(), &envelope, analysis, self.ctx.now());
        let seen = Seen {
            id,
            at: found.at,
            envelope: &envelope,
            analysis,
            auth: &said.auth.take().unwrap_or_else(|| AuthResults {
                spf: "none".to_owned(),
                dkim: "none".to_owned(),
                dmarc: "none".to_owned(),
            }),
            hits: &hits,
            action: DeliveryAction::Delivered,
            location: found.location,
            source: found.source,
            filters: &said.verdicts,
            bulk: filters::is_bulk(fields),
            folder: found.folder,
        };
        let own_domains: Vec<String> = gateway.own_domains.iter().map(|domain| domain.to_lowercase()).collect();
        Ok(rows(&seen, &own_domains))
    }
}
