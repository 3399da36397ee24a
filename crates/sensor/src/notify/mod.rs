//! Tells the users of the device what was found and done, in their language: on the desktop when a
//! session has one, else on their terminals.
//!
//! A session bus accepts its own user only, so the sensor starts itself again as
//! `hinomi-sensor show-notification` which becomes that user before it connects ([`desktop`]).

pub mod desktop;
mod terminal;
mod texts;

pub use terminal::printable;
pub use texts::{blocked_file, detection};

use crate::config::NotifyConfig;
use hinomi_model::{Language, Text};
use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The same thing is told again only after this long.
const REPEAT_AFTER: Duration = Duration::from_secs(600);
/// Most messages in [`RATE_WINDOW`].
const RATE_MAX: usize = 6;
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// Most users told.
const USERS_MAX: usize = 64;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Short title.
    pub title: Text,
    /// Body; parts of it may be untrusted.
    pub body: Text,
    /// True = shown until dismissed, where the desktop can.
    pub urgent: bool,
}

/// Who got a message and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    /// User ids told on their desktop.
    pub desktops: Vec<u32>,
    /// Terminals written to.
    pub terminals: Vec<PathBuf>,
    /// What failed.
    pub failures: Vec<String>,
}

/// Tells users; shared.
pub struct Notifier {
    config: NotifyConfig,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    by_subject: HashMap<String, Instant>,
    times: Vec<Instant>,
}

impl Notifier {
    /// Builds a notifier.
    pub fn new(config: NotifyConfig) -> Self {
        Notifier { config, recent: Mutex::default() }
    }

    /// `ok`, or why nobody is told.
    pub fn capability(&self) -> String {
        if self.config.enabled { "ok".to_owned() } else { "off by configuration".to_owned() }
    }

    /// Tells every logged-on user unless the same `subject` was told a short while ago or too much
    /// is being told. Blocks until delivered.
    pub fn tell(&self, subject: &str, message: &Message) -> Told {
        if !self.config.enabled || !self.admit(subject) {
            return Told::default();
        }
        self.deliver(message)
    }

    /// Tells every logged-on user. Blocks until delivered.
    pub fn deliver(&self, message: &Message) -> Told {
        let mut told = Told::default();
        if !self.config.enabled {
            return told;
        }
        let terminals = terminal::find(&self.config.terminal_dir);
        let mut users: BTreeSet<u32> = terminals.iter().map(|terminal| terminal.uid).collect();
        users.extend(self.buses().into_iter().map(|(uid, _)| uid));
        let languages = languages();
        for uid in users.into_iter().take(USERS_MAX) {
            let language = languages.get(&uid).copied().unwrap_or(self.config.language);
            if let Some((_, bus)) = self.buses().into_iter().find(|(owner, _)| *owner == uid) {
                match desktop::show_as(uid, &bus, message, language) {
                    Ok(()) => {
                        told.desktops.push(uid);
                        continue;
                    }
                    Err(error) => told.failures.push(format!("desktop of user {uid}: {error}")),
                }
            }
            for terminal in terminals.iter().filter(|terminal| terminal.uid == uid) {
                match terminal.write(message, language) {
                    Ok(()) => told.terminals.push(terminal.path.clone()),
                    Err(error) => told.failures.push(format!("{}: {error}", terminal.path.display())),
                }
            }
        }
        if !told.failures.is_empty() {
            tracing::info!(failures = ?told.failures, "not every user could be told");
        }
        told
    }

    /// Returns the names or numbers of users with a session bus or a terminal.
    pub fn users(&self) -> Vec<String> {
        let mut users: BTreeSet<u32> =
            terminal::find(&self.config.terminal_dir).into_iter().map(|terminal| terminal.uid).collect();
        users.extend(self.buses().into_iter().map(|(uid, _)| uid));
        users.into_iter().take(USERS_MAX).map(user_name).collect()
    }

    fn buses(&self) -> Vec<(u32, PathBuf)> {
        let Ok(entries) = std::fs::read_dir(&self.config.runtime_dir) else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| {
                let uid: u32 = entry.file_name().to_str()?.parse().ok()?;
                let bus = entry.path().join("bus");
                // only the user's own folder: nobody else can have put a socket there
                let own = entry.metadata().ok()?.uid() == uid && std::fs::symlink_metadata(&bus).is_ok();
                own.then_some((uid, bus))
            })
            .collect()
    }

    fn admit(&self, subject: &str) -> bool {
        let now = Instant::now();
        let mut recent = self.recent.lock().expect("never poisoned");
        recent.times.retain(|at| now.duration_since(*at) < RATE_WINDOW);
        recent.by_subject.retain(|_, at| now.duration_since(*at) < REPEAT_AFTER);
        if recent.times.len() >= RATE_MAX || recent.by_subject.contains_key(subject) {
            return false;
        }
        recent.times.push(now);
        recent.by_subject.insert(subject.to_owned(), now);
        true
    }
}

fn user_name(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

/// Finds the language of each user in the environment of their processes.
fn languages() -> HashMap<u32, Language> {
    let mut found = HashMap::new();
    for pid in crate::respond::process::pids() {
        let Ok(metadata) = std::fs::metadata(format!("/proc/{pid}")) else { continue };
        if found.contains_key(&metadata.uid()) {
            continue;
        }
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { continue };
        if let Some(language) = language_of(&environment) {
            found.insert(metadata.uid(), language);
        }
    }
    found
}

/// Reads the language from an environment block as the C library would (locale(7)).
fn language_of(environment: &[u8]) -> Option<Language> {
    let value = |name: &[u8]| {
        environment
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(name))
            .filter(|value| !value.is_empty())
    };
    let locale = value(b"LC_ALL=").or_else(|| value(b"LC_MESSAGES=")).or_else(|| value(b"LANG="))?;
    match locale {
        _ if locale.starts_with(b"ja") => Some(Language::Ja),
        _ if locale.starts_with(b"en") => Some(Language::En),
        // C and other languages: the configured one
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_follows_the_locale_variables() {
        assert_eq!(language_of(b"A=1\0LANG=ja_JP.UTF-8\0"), Some(Language::Ja));
        assert_eq!(language_of(b"LANG=ja_JP.UTF-8\0LC_ALL=en_US.UTF-8\0"), Some(Language::En));
        assert_eq!(language_of(b"LANG=C.UTF-8\0"), None);
        assert_eq!(language_of(b"XLANG=ja\0"), None);
    }

    #[test]
    fn the_same_thing_is_told_once_and_floods_are_cut() {
        let notifier = Notifier::new(NotifyConfig::default());
        assert!(notifier.admit("a"));
        assert!(!notifier.admit("a"));
        let admitted = (0..100).filter(|n| notifier.admit(&format!("b{n}"))).count();
        assert_eq!(admitted, RATE_MAX - 1);
    }
}
