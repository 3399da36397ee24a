//! `[notify]`: channels, rules, hours.

use crate::outside::{SYSTEM_AUTHORITIES, secret};
use hinomi_model::{DetectionSource, Language, NotificationKind, Severity, Timestamp};
use hinomi_notify::{Hook, HookForm, SmtpSettings, Syslog, SyslogForm};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const DAY: i64 = 86_400;

/// `[notify]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// Mail server: `smtp://host:port` (no TLS), `smtps://…` or `starttls://…`.
    pub smtp: String,
    /// Login, when the server wants one.
    pub user: Option<String>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Sender address.
    pub from: String,
    /// Offset of the hours below from UTC (`+09:00`).
    pub utc_offset: String,
    /// When digests are sent (`08:00`).
    pub digest_at: String,
    /// Office hours.
    pub office: Office,
    /// Minutes without a word of a device until it is told as silent; 0 = never.
    pub device_silent_minutes: u32,
    /// Short form: a mail channel and its rule for one person.
    #[serde(rename = "recipient")]
    pub recipients: Vec<NotifyRecipient>,
    /// Ways out.
    #[serde(rename = "channel")]
    pub channels: Vec<Channel>,
    /// What is told to whom.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        NotifyConfig {
            smtp: String::new(),
            user: None,
            password_file: None,
            from: String::new(),
            utc_offset: "+00:00".to_owned(),
            digest_at: "08:00".to_owned(),
            office: Office::default(),
            device_silent_minutes: 1_440,
            recipients: Vec::new(),
            channels: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// `[notify.office]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Office {
    /// Working days: `mon` to `sun`.
    pub days: Vec<String>,
    /// Begin (`09:00`).
    pub from: String,
    /// End (`18:00`).
    pub to: String,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Default for Office {
    fn default() -> Self {
        Office {
            days: DAYS[..5].iter().map(|day| (*day).to_owned()).collect(),
            from: "09:00".to_owned(),
            to: "18:00".to_owned(),
        }
    }
}

/// `[[notify.recipient]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyRecipient {
    /// Mail address; also the name of the channel.
    pub address: String,
    /// Language.
    #[serde(default)]
    pub language: Language,
    /// Severities that are sent.
    #[serde(default = "high_and_medium")]
    pub severities: Vec<Severity>,
}

fn high_and_medium() -> Vec<Severity> {
    vec![Severity::High, Severity::Medium]
}

/// What carries a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// Mail to `address`.
    Mail,
    /// Slack incoming webhook.
    Slack,
    /// Microsoft Teams workflow ("when a webhook request is received").
    Teams,
    /// Signed JSON to any address.
    Webhook,
    /// Syslog with CEF.
    SyslogCef,
    /// Syslog with JSON.
    SyslogJson,
}

impl ChannelKind {
    /// Returns the word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            ChannelKind::Mail => "mail",
            ChannelKind::Slack => "slack",
            ChannelKind::Teams => "teams",
            ChannelKind::Webhook => "webhook",
            ChannelKind::SyslogCef => "syslog_cef",
            ChannelKind::SyslogJson => "syslog_json",
        }
    }
}

/// `[[notify.channel]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Name.
    pub name: String,
    /// What carries it.
    pub kind: ChannelKind,
    /// Mail address.
    #[serde(default)]
    pub address: String,
    /// Address of a webhook (`https://…`) or a syslog server (`udp://`, `tcp://`, `tls://host:port`).
    #[serde(default)]
    pub url: String,
    /// File that holds the address: those of Slack and Teams are secrets.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// File that holds the key documents are signed with.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Authorities in PEM; default: those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A webhook may be on this machine or link.
    #[serde(default)]
    pub allow_local: bool,
    /// Language.
    #[serde(default)]
    pub language: Language,
    /// False: names of devices, people and mailboxes are left out.
    #[serde(default = "yes")]
    pub names: bool,
    /// Alerts below high in an hour, before the rest waits for a digest at its end.
    #[serde(default = "ten")]
    pub per_hour: u32,
}

fn yes() -> bool {
    true
}

fn ten() -> u32 {
    10
}

/// What rules are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// Alerts.
    Alerts,
    /// Actions that wait for a person.
    Approvals,
    /// Devices that are silent.
    Devices,
    /// Mail systems that cannot be reached.
    Connectors,
}

impl About {
    /// What a kind of notification is about; none = it asks no rule.
    pub fn of(kind: NotificationKind) -> Option<About> {
        match kind {
            NotificationKind::Alert => Some(About::Alerts),
            NotificationKind::Approval | NotificationKind::ApprovalExpiring | NotificationKind::ApprovalUnanswered => {
                Some(About::Approvals)
            }
            NotificationKind::DeviceSilent => Some(About::Devices),
            NotificationKind::ConnectorBroken => Some(About::Connectors),
            NotificationKind::Escalation | NotificationKind::Digest | NotificationKind::Test => None,
        }
    }
}

/// When a rule holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hours {
    /// Always.
    #[default]
    Always,
    /// In office hours.
    Office,
    /// Outside office hours.
    Outside,
}

/// When what a rule picks is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At once.
    #[default]
    AtOnce,
    /// At once in office hours, else with the next digest.
    OfficeHours,
    /// With the next digest.
    Digest,
}

/// `[[notify.rule]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name.
    pub name: String,
    /// What it is about.
    #[serde(default = "alerts")]
    pub about: Vec<About>,
    /// Severities of alerts.
    #[serde(default = "high_and_medium")]
    pub severities: Vec<Severity>,
    /// Detection sources of alerts; empty = all.
    #[serde(default)]
    pub sources: Vec<DetectionSource>,
    /// Tags of the device, one of which it must have; empty = all, and alerts without a device.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Hours it holds in.
    #[serde(default)]
    pub hours: Hours,
    /// When it is told.
    #[serde(default)]
    pub when: When,
    /// Names of the channels.
    pub channels: Vec<String>,
    /// Minutes nobody takes the incident until others are told; 0 = never.
    #[serde(default)]
    pub escalate_minutes: u32,
    /// Names of the channels that are told then.
    #[serde(default)]
    pub escalate_to: Vec<String>,
}

fn alerts() -> Vec<About> {
    vec![About::Alerts]
}

/// A key of the configuration and what is wrong with it.
type Wrong = (&'static str, String);

impl NotifyConfig {
    /// Makes paths relative to the configuration's folder absolute.
    pub fn rebase(&mut self, base: &Path) {
        let own = self
            .channels
            .iter_mut()
            .flat_map(|channel| [&mut channel.url_file, &mut channel.secret_file, &mut channel.ca_file]);
        for file in own.chain([&mut self.password_file]) {
            *file = file.as_ref().map(|file| base.join(file));
        }
    }

    /// Checks everything that can be checked without asking anybody.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub fn check(&self) -> Result<(), Wrong> {
        self.offset()?;
        minutes("notify.digest_at", &self.digest_at)?;
        minutes("notify.office.from", &self.office.from)?;
        minutes("notify.office.to", &self.office.to)?;
        if let Some(day) = self.office.days.iter().find(|day| !DAYS.contains(&day.as_str())) {
            return Err(("notify.office.days", format!("{day:?} is none of {}", DAYS.join(", "))));
        }
        let channels = self.all_channels();
        for (at, channel) in channels.iter().enumerate() {
            let wrong = |text: String| Err(("notify.channel", format!("{}: {text}", channel.name)));
            if channel.name.is_empty() || channels[..at].iter().any(|one| one.name == channel.name) {
                return Err(("notify.channel.name", format!("{:?} is empty or given twice", channel.name)));
            }
            if channel.kind == ChannelKind::Mail {
                if channel.address.is_empty() || self.smtp.is_empty() || self.from.is_empty() {
                    return wrong("mail needs an address, notify.smtp and notify.from".to_owned());
                }
            } else if channel.url.is_empty() == channel.url_file.is_none() {
                return wrong("give either url or url_file".to_owned());
            } else if !channel.url.is_empty()
                && let Err(text) = channel.target()
            {
                return wrong(text);
            }
        }
        if channels.iter().any(|channel| channel.kind == ChannelKind::Mail)
            && let Err(error) = SmtpSettings::parse(&self.smtp, &self.from, None)
        {
            return Err(("notify.smtp", error.to_string()));
        }
        for rule in &self.rules {
            let named = rule.channels.iter().chain(&rule.escalate_to);
            if let Some(unknown) = named.into_iter().find(|name| channels.iter().all(|one| one.name != **name)) {
                return Err(("notify.rule", format!("{}: there is no channel {unknown:?}", rule.name)));
            }
            if (rule.escalate_minutes > 0) == rule.escalate_to.is_empty() {
                let text = format!("{}: escalate_minutes and escalate_to belong together", rule.name);
                return Err(("notify.rule", text));
            }
        }
        Ok(())
    }

    /// Every channel, those of recipients included.
    pub fn all_channels(&self) -> Vec<Channel> {
        let of_recipients = self.recipients.iter().map(|recipient| Channel {
            name: recipient.address.clone(),
            kind: ChannelKind::Mail,
            address: recipient.address.clone(),
            url: String::new(),
            url_file: None,
            secret_file: None,
            ca_file: None,
            allow_local: false,
            language: recipient.language,
            names: true,
            per_hour: ten(),
        });
        of_recipients.chain(self.channels.iter().cloned()).collect()
    }

    /// Every rule, those of recipients included.
    pub fn all_rules(&self) -> Vec<Rule> {
        let of_recipients = self.recipients.iter().map(|recipient| Rule {
            name: recipient.address.clone(),
            about: alerts(),
            severities: recipient.severities.clone(),
            sources: Vec::new(),
            tags: Vec::new(),
            hours: Hours::Always,
            when: When::AtOnce,
            channels: vec![recipient.address.clone()],
            escalate_minutes: 0,
            escalate_to: Vec::new(),
        });
        of_recipients.chain(self.rules.iter().cloned()).collect()
    }

    fn offset(&self) -> Result<i64, Wrong> {
        let wrong = || ("notify.utc_offset", format!("{:?} is not like +09:00", self.utc_offset));
        let (sign, rest) = match self.utc_offset.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(wrong()),
        };
        let minutes = minutes("notify.utc_offset", rest).map_err(|_| wrong())?;
        if minutes > 14 * 60 { Err(wrong()) } else { Ok(sign * minutes * 60) }
    }

    /// Seconds since the epoch as the wall clock of the place shows them.
    fn local(&self, now: Timestamp) -> i64 {
        now.as_micros().div_euclid(1_000_000) + self.offset().unwrap_or(0)
    }

    /// True in office hours; those that end before they begin go through the night.
    pub fn is_office(&self, now: Timestamp) -> bool {
        let local = self.local(now);
        // 1970-01-01 was a Thursday
        let day = (local.div_euclid(DAY) + 3).rem_euclid(7);
        let minute = local.rem_euclid(DAY) / 60;
        let from = minutes("", &self.office.from).unwrap_or(0);
        let to = minutes("", &self.office.to).unwrap_or(24 * 60);
        let within = if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to };
        within && self.office.days.iter().any(|name| DAYS.get(day as usize) == Some(&name.as_str()))
    }

    /// The next time digests are sent.
    pub fn next_digest(&self, now: Timestamp) -> Timestamp {
        let local = self.local(now);
        let at = minutes("", &self.digest_at).unwrap_or(8 * 60) * 60;
        let wait = (at - local.rem_euclid(DAY)).rem_euclid(DAY);
        whole_second(now).plus_seconds(if wait == 0 { DAY } else { wait })
    }

    /// How the mail server is reached.
    ///
    /// # Errors
    /// When the password cannot be read or the address is none.
    pub fn smtp(&self) -> Result<SmtpSettings, String> {
        let login = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => Some((user.clone(), secret(file)?)),
            _ => None,
        };
        SmtpSettings::parse(&self.smtp, &self.from, login).map_err(|error| error.to_string())
    }
}

/// Where a channel leads, ready to be used.
pub enum Target {
    /// A mail address.
    Mail(String),
    /// A webhook.
    Hook(Box<Hook>),
    /// A syslog server.
    Syslog(Box<Syslog>),
}

impl Channel {
    /// Reads the files it names.
    ///
    /// # Errors
    /// Which cannot be read, and what is wrong with the address.
    pub fn target(&self) -> Result<Target, String> {
        let url = || match &self.url_file {
            Some(file) => secret(file),
            None => Ok(self.url.clone()),
        };
        let authorities = || {
            let file = self.ca_file.as_deref().unwrap_or(Path::new(SYSTEM_AUTHORITIES));
            match std::fs::read(file) {
                // without TLS none are needed
                Err(_) if self.ca_file.is_none() => Ok(Vec::new()),
                read => read.map_err(|error| format!("read {}: {error}", file.display())),
            }
        };
        let hook = |form| {
            let key = self.secret_file.as_deref().map(secret).transpose()?.map(String::into_bytes);
            let hook = Hook { form, url: url()?, key, authorities: authorities()?, allow_local: self.allow_local };
            hook.host().map_err(|error| error.to_string())?;
            Ok(Target::Hook(Box::new(hook)))
        };
        let syslog = |form| {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let syslog = Syslog { url: url()?, form, authorities: authorities()?, host: host.trim().to_owned() };
            syslog.address().map_err(|error| error.to_string())?;
            Ok(Target::Syslog(Box::new(syslog)))
        };
        match self.kind {
            ChannelKind::Mail => Ok(Target::Mail(self.address.clone())),
            ChannelKind::Slack => hook(HookForm::Slack),
            ChannelKind::Teams => hook(HookForm::Teams),
            ChannelKind::Webhook => hook(HookForm::CloudEvent),
            ChannelKind::SyslogCef => syslog(SyslogForm::Cef),
            ChannelKind::SyslogJson => syslog(SyslogForm::Json),
        }
    }

    /// Where it leads, without what is secret: address, host, or host and port.
    pub fn place(&self) -> String {
        match self.target() {
            Ok(Target::Mail(address)) => address,
            Ok(Target::Hook(hook)) => hook.host().unwrap_or_default(),
            Ok(Target::Syslog(syslog)) => syslog.url.clone(),
            Err(_) => String::new(),
        }
    }
}

/// The second a time lies in: what is due together has one time.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().div_euclid(1_000_000) * 1_000_000)
}

/// `09:30` as minutes of the day.
fn minutes(key: &'static str, text: &str) -> Result<i64, Wrong> {
    let parts = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2);
    let number = |text: &str| text.parse::<u8>().ok().map(i64::from);
    match parts.map(|(hours, minutes)| (number(hours), number(minutes))) {
        Some((Some(hours @ 0..24), Some(minutes @ 0..60))) => Ok(hours * 60 + minutes),
        _ => Err((key, format!("{text:?} is not a time like 08:00"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_those_of_the_place() {
        let config = NotifyConfig { utc_offset: "+09:00".to_owned(), ..NotifyConfig::default() };
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        // Monday 2026-11-23, nine in Tokyo
        assert!(config.is_office(at("2026-11-23T00:00:00Z")));
        assert!(!config.is_office(at("2026-11-22T23:59:59Z")));
        assert!(!config.is_office(at("2026-11-23T09:00:00Z")), "six in the evening");
        assert!(!config.is_office(at("2026-11-22T03:00:00Z")), "Sunday noon");
        assert_eq!(config.next_digest(at("2026-11-22T22:59:00Z")), at("2026-11-22T23:00:00Z"));
        assert_eq!(config.next_digest(at("2026-11-22T23:00:00Z")), at("2026-11-23T23:00:00Z"));
        let night = Office { from: "22:00".to_owned(), to: "06:00".to_owned(), ..Office::default() };
        let config = NotifyConfig { office: night, ..config };
        assert!(config.is_office(at("2026-11-23T14:00:00Z")) && !config.is_office(at("2026-11-23T03:00:00Z")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str| {
            let config: NotifyConfig = toml::from_str(text).expect("reads");
            config.check().expect_err(text).1
        };
        assert!(wrong("utc_offset = \"9\"").contains("+09:00"));
        assert!(wrong("digest_at = \"25:00\"").contains("25:00"));
        assert!(wrong("[[channel]]\nname = \"a\"\nkind = \"mail\"\naddress = \"a@b\"").contains("notify.smtp"));
        assert!(wrong("[[channel]]\nname = \"a\"\nkind = \"slack\"").contains("url_file"));
        assert!(wrong("[[channel]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"ftp://x\"").contains("neither"));
        assert!(wrong("[[rule]]\nname = \"a\"\nchannels = [\"b\"]").contains("no channel"));
    }
}
