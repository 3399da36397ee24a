//! Sender authentication: SPF, DKIM and DMARC, never longer than a deadline.
//!
//! DNS decides how long this takes, so it has a deadline of its own, and after several checks in a
//! row ran out of time the resolver is left alone for a while: a gateway without a working DNS
//! delivers mail at full speed and says `temperror`.

use hinomi_model::AuthResults;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, MessageAuthenticator, SpfResult};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Late checks in a row after which DNS is taken for dead.
const LATE_MAX: u32 = 3;
/// How long it is then left alone.
const REST: Duration = Duration::from_secs(30);

/// Who handed a message in.
#[derive(Debug, Clone, Copy)]
pub struct Client<'c> {
    /// Its address; none for local submission.
    pub ip: Option<IpAddr>,
    /// What it called itself.
    pub helo: &'c str,
    /// Envelope sender.
    pub mail_from: &'c str,
}

/// Checks who a message is really from.
pub struct Authenticator {
    resolver: Option<MessageAuthenticator>,
    deadline: Duration,
    late: Mutex<Late>,
}

#[derive(Default)]
struct Late {
    in_a_row: u32,
    rest_until: Option<Instant>,
}

impl Authenticator {
    /// Uses the resolvers of the system; without any, every answer is `temperror`.
    pub fn system(deadline: Duration) -> Self {
        let resolver = MessageAuthenticator::new_system_conf()
            .inspect_err(|error| tracing::warn!(%error, "no DNS resolver: senders are not authenticated"))
            .ok();
        Authenticator { resolver, deadline, late: Mutex::default() }
    }

    /// Asks nobody: every answer that would need DNS is `temperror`.
    pub fn without_dns() -> Self {
        Authenticator { resolver: None, deadline: Duration::ZERO, late: Mutex::default() }
    }

    /// Checks one message.
    pub async fn check(&self, client: Client<'_>, raw: &[u8]) -> AuthResults {
        let signed = has_signature(raw);
        if !signed && client.ip.is_none_or(|ip| ip.is_loopback()) {
            // handed in on this machine: there is no sending host to check and nothing to ask about
            return AuthResults { spf: "none".to_owned(), dkim: "none".to_owned(), dmarc: "none".to_owned() };
        }
        let unknown = || AuthResults {
            spf: if client.ip.is_some() { "temperror" } else { "none" }.to_owned(),
            dkim: if signed { "temperror" } else { "none" }.to_owned(),
            dmarc: "temperror".to_owned(),
        };
        let Some(resolver) = &self.resolver else { return unknown() };
        if self.rests() {
            return unknown();
        }
        let checked = tokio::time::timeout(self.deadline, verify(resolver, client, raw)).await;
        self.remember(checked.is_err());
        checked.ok().flatten().unwrap_or_else(unknown)
    }

    fn rests(&self) -> bool {
        let late = self.late.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        late.rest_until.is_some_and(|until| Instant::now() < until)
    }

    fn remember(&self, was_late: bool) {
        let mut late = self.late.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        late.in_a_row = if was_late { late.in_a_row + 1 } else { 0 };
        if late.in_a_row >= LATE_MAX {
            *late = Late { in_a_row: 0, rest_until: Some(Instant::now() + REST) };
            tracing::warn!(rest_seconds = REST.as_secs(), "DNS does not answer in time: it is left alone for a while");
        }
    }
}

async fn verify(resolver: &MessageAuthenticator, client: Client<'_>, raw: &[u8]) -> Option<AuthResults> {
    let message = AuthenticatedMessage::parse(raw)?;
    let dkim = resolver.verify_dkim(&message).await;
    let dkim_word = dkim_word(&dkim);
    let Some(ip) = client.ip else {
        return Some(AuthResults { spf: "none".to_owned(), dkim: dkim_word, dmarc: "none".to_owned() });
    };
    let spf =
        resolver.verify_spf(SpfParameters::verify_mail_from(ip, client.helo, "localhost", client.mail_from)).await;
    let domain = client.mail_from.rsplit_once('@').map_or(client.helo, |(_, domain)| domain);
    let dmarc = resolver.verify_dmarc(DmarcParameters::new(&message, &dkim, domain, &spf)).await;
    let dmarc = match (dmarc.dkim_result(), dmarc.spf_result()) {
        (DmarcResult::Pass, _) | (_, DmarcResult::Pass) => "pass",
        (DmarcResult::TempError(_), _) | (_, DmarcResult::TempError(_)) => "temperror",
        (DmarcResult::PermError(_), _) | (_, DmarcResult::PermError(_)) => "permerror",
        (DmarcResult::Fail(_), _) | (_, DmarcResult::Fail(_)) => "fail",
        (DmarcResult::None, DmarcResult::None) => "none",
    };
    Some(AuthResults { spf: spf_word(spf.result()).to_owned(), dkim: dkim_word, dmarc: dmarc.to_owned() })
}

fn spf_word(result: SpfResult) -> &'static str {
    match result {
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
        SpfResult::None => "none",
    }
}

/// The best of all signatures: one that holds is enough (RFC 6376 6.1).
fn dkim_word(outputs: &[DkimOutput<'_>]) -> String {
    let word = |output: &DkimOutput<'_>| match output.result() {
        DkimResult::Pass => (0, "pass"),
        DkimResult::Fail(_) => (1, "fail"),
        DkimResult::TempError(_) => (2, "temperror"),
        DkimResult::PermError(_) => (3, "permerror"),
        DkimResult::Neutral(_) => (4, "neutral"),
        DkimResult::None => (5, "none"),
    };
    outputs.iter().map(word).min().map_or("none", |(_, word)| word).to_owned()
}

/// True when the header section carries a DKIM signature.
fn has_signature(raw: &[u8]) -> bool {
    let head = &raw[..raw.len().min(256 << 10)];
    let end = head.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(head.len());
    let name = b"dkim-signature:";
    head[..end]
        .split(|byte| *byte == b'\n')
        .any(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
}
