//! Playbooks as written (`content/playbooks`): which alerts they are for, their steps in order, how long
//! a step may take, how often it is tried and what it means when it fails.

use super::collect;
use hinomi_model::{Alert, Investigation, Step, StepState, Text};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A playbook is not readable.
#[derive(Debug, thiserror::Error)]
pub enum PlaybookError {
    /// It is no TOML, or not of this shape.
    #[error("read playbook {name}")]
    Toml {
        /// Its file name.
        name: String,
        /// Why.
        #[source]
        source: toml::de::Error,
    },
    /// It names a step that has no definition.
    #[error("playbook {name}: there is no step {step}")]
    Step {
        /// Its file name.
        name: String,
        /// The step.
        step: String,
    },
}

/// A playbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playbook {
    /// Name (`malicious_file`).
    pub name: String,
    /// Title.
    pub title: Text,
    /// What it is for.
    pub about: Text,
    /// Steps in order.
    pub steps: Vec<StepSpec>,
    when: Vec<When>,
}

/// A step of a playbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSpec {
    /// What is done.
    pub name: StepName,
    /// What people read.
    pub title: Text,
    /// What is not known when it fails.
    pub failure: Text,
    /// Seconds it may take.
    pub timeout_seconds: u64,
    /// Tries before it counts as failed.
    pub attempts: u32,
    /// Seconds between two tries.
    pub retry_seconds: u64,
}

/// A playbook as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    title: Text,
    about: Text,
    when: Vec<When>,
    steps: Vec<String>,
    /// Seconds a step may take in this playbook.
    #[serde(default)]
    timeout_seconds: BTreeMap<String, u64>,
}

/// A step as written.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    title: Text,
    failure: Text,
    timeout_seconds: u64,
    attempts: u32,
    retry_seconds: u64,
}

/// Which alerts a playbook is for: all parts must hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    on: On,
    /// One of these tactics.
    #[serde(default)]
    tactics: Vec<String>,
    /// One of these techniques, or one below it.
    #[serde(default)]
    techniques: Vec<String>,
    /// A rule whose id begins so.
    #[serde(default)]
    rules: Vec<String>,
    /// A file takes part.
    #[serde(default)]
    file: bool,
}

/// Where an alert comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum On {
    Device,
    Mail,
}

impl When {
    fn holds(&self, alert: &Alert) -> bool {
        let on = match self.on {
            On::Device => alert.device.is_some(),
            On::Mail => alert.device.is_none() && alert.message_id.is_some(),
        };
        let technique = |wanted: &String| alert.techniques.iter().any(|id| within(id, wanted));
        let fired = |wanted: &String| alert.rule_id.starts_with(wanted.as_str());
        on && (self.tactics.is_empty() || self.tactics.contains(&alert.category))
            && (self.techniques.is_empty() || self.techniques.iter().any(technique))
            && (self.rules.is_empty() || self.rules.iter().any(fired))
            && (!self.file || collect::focus_files(std::slice::from_ref(alert)).next().is_some())
    }
}

/// True for a technique and its sub-techniques.
fn within(id: &str, wanted: &str) -> bool {
    id.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

macro_rules! steps {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The steps code exists for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum StepName { $($(#[$doc])* $variant,)* }

        impl StepName {
            /// Every step there is.
            pub const ALL: &[StepName] = &[$(StepName::$variant,)*];

            /// Returns the name in data and logs.
            pub const fn name(self) -> &'static str {
                match self { $(StepName::$variant => $name,)* }
            }

            /// Returns the step with that name.
            pub fn from_name(name: &str) -> Option<StepName> {
                match name { $($name => Some(StepName::$variant),)* _ => None }
            }
        }
    };
}

steps! {
    /// Which file is it, how widely is it known, is it an indicator.
    IdentifyFile = "identify_file",
    /// What the mail carries, who sent it, what is known of sender and links.
    IdentifyMail = "identify_mail",
    /// What ran and what it made.
    ProcessTree = "process_tree",
    /// Where it connected to.
    Network = "network",
    /// What makes it run again.
    Persistence = "persistence",
    /// How many files it changed.
    ChangedFiles = "changed_files",
    /// Who logged on.
    Logons = "logons",
    /// Where the accounts were used since.
    AccountUse = "account_use",
    /// What the sensor of the device says of itself.
    SensorState = "sensor_state",
    /// Which messages carried it.
    FindMail = "find_mail",
    /// Which mailboxes got these messages.
    FindTwins = "find_twins",
    /// Which of them hold it now.
    LiveMailboxes = "live_mailboxes",
    /// Which devices followed the links of the mail.
    FollowLinks = "follow_links",
    /// Which other devices had it.
    OtherDevices = "other_devices",
    /// Which other devices connected to the same places.
    SharedDestinations = "shared_destinations",
    /// What we believe.
    Judge = "judge",
    /// What to do.
    ProposeActions = "propose_actions",
}

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        /// The playbooks that ship with the product: of several that fit, the first is taken.
        const EMBEDDED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../content/playbooks/", $name, ".toml"))),)*];
    };
}

embedded!(
    "ransomware",
    "sensor_tampering",
    "credential_access",
    "command_and_control",
    "user_reported_mail",
    "malicious_attachment",
    "phishing_mail",
    "persistence",
    "malicious_file",
    "suspicious_process",
);

const STEPS: &str = include_str!("../../../../content/playbooks/steps.toml");

static PLAYBOOKS: LazyLock<Vec<Playbook>> = LazyLock::new(|| {
    let read = |(name, text): &(&str, &str)| Playbook::parse(name, text).expect("the embedded playbooks are tested");
    EMBEDDED.iter().map(read).collect()
});

impl Playbook {
    /// Reads a playbook; its steps are those of `content/playbooks/steps.toml`.
    ///
    /// # Errors
    /// [`PlaybookError`] when the text is no playbook or names a step that does not exist.
    pub fn parse(name: &str, text: &str) -> Result<Playbook, PlaybookError> {
        let wrong = |source| PlaybookError::Toml { name: name.to_owned(), source };
        let written: Written = toml::from_str(text).map_err(wrong)?;
        let known: BTreeMap<String, WrittenStep> = toml::from_str(STEPS).map_err(wrong)?;
        let missing = |step: &str| PlaybookError::Step { name: name.to_owned(), step: step.to_owned() };
        if let Some(step) = written.timeout_seconds.keys().find(|step| !written.steps.contains(step)) {
            return Err(missing(step));
        }
        let step = |word: &String| {
            let (Some(name), Some(spec)) = (StepName::from_name(word), known.get(word)) else {
                return Err(missing(word));
            };
            Ok(StepSpec {
                name,
                title: spec.title.clone(),
                failure: spec.failure.clone(),
                timeout_seconds: written.timeout_seconds.get(word).copied().unwrap_or(spec.timeout_seconds),
                attempts: spec.attempts.max(1),
                retry_seconds: spec.retry_seconds,
            })
        };
        let steps = written.steps.iter().map(step).collect::<Result<_, _>>()?;
        Ok(Playbook { name: written.name, title: written.title, about: written.about, steps, when: written.when })
    }

    /// The playbooks that ship with the product, the most special first.
    pub fn all() -> &'static [Playbook] {
        &PLAYBOOKS
    }

    /// Returns a playbook that ships with the product.
    pub fn embedded(name: &str) -> Option<&'static Playbook> {
        PLAYBOOKS.iter().find(|playbook| playbook.name == name)
    }

    /// Returns the playbook for an alert; none below medium severity, and for what is neither of a
    /// device nor of a mail.
    pub fn for_alert(alert: &Alert) -> Option<&'static Playbook> {
        let worth = alert.severity >= hinomi_model::Severity::Medium;
        PLAYBOOKS.iter().find(|playbook| worth && playbook.fits(alert))
    }

    /// True when the playbook is meant for such alerts.
    pub fn fits(&self, alert: &Alert) -> bool {
        self.when.iter().any(|when| when.holds(alert))
    }

    /// Returns the steps of a fresh investigation.
    pub fn fresh_steps(&self) -> Vec<Step> {
        self.steps.iter().map(fresh).collect()
    }

    /// Finds how a step of an investigation is run: as in its own playbook, or in the one that brought
    /// the step along.
    pub fn spec_of(investigation: &Investigation, step: &str) -> Option<&'static StepSpec> {
        let own = Playbook::embedded(&investigation.playbook);
        own.into_iter()
            .chain(PLAYBOOKS.iter())
            .flat_map(|playbook| &playbook.steps)
            .find(|spec| spec.name.name() == step)
    }
}

fn fresh(spec: &StepSpec) -> Step {
    Step {
        name: spec.name.name().to_owned(),
        title: spec.title.clone(),
        state: StepState::Pending,
        result: Text::default(),
        attempts: 0,
        waits_for: Vec::new(),
        started_at: None,
        ended_at: None,
    }
}

/// Adds the steps that the alerts of a story need and its investigation has not, before it judges.
/// Returns the playbooks they come from. A story of a file that turns out to be directed from outside
/// is looked at like both.
pub fn grow(investigation: &mut Investigation, alerts: &[Alert]) -> Vec<&'static Playbook> {
    let mut brought: Vec<&'static Playbook> = Vec::new();
    for playbook in alerts.iter().filter_map(Playbook::for_alert) {
        for spec in &playbook.steps {
            if investigation.steps.iter().any(|step| step.name == spec.name.name()) {
                continue;
            }
            let end = investigation.steps.iter().position(|step| step.name == StepName::Judge.name());
            investigation.steps.insert(end.unwrap_or(investigation.steps.len()), fresh(spec));
            if !brought.iter().any(|known| known.name == playbook.name) {
                brought.push(playbook);
            }
        }
    }
    brought
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_playbook_reads_ends_with_a_verdict_and_every_step_is_used() {
        assert_eq!(Playbook::all().len(), 10);
        let mut used = BTreeSet::new();
        for (playbook, (file, _)) in Playbook::all().iter().zip(EMBEDDED) {
            assert_eq!(playbook.name, *file);
            assert!(!playbook.about.en.is_empty() && !playbook.about.ja.is_empty(), "{file}");
            let names: Vec<&str> = playbook.steps.iter().map(|step| step.name.name()).collect();
            assert!(names.ends_with(&["judge", "propose_actions"]), "{file}: {names:?}");
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{file}: a step twice");
            for step in &playbook.steps {
                assert!(step.attempts > 0 && step.retry_seconds > 0 && step.timeout_seconds > 0, "{file}");
                assert!(!step.failure.en.is_empty() && !step.failure.ja.is_empty() && !step.title.ja.is_empty());
            }
            used.extend(names);
        }
        assert_eq!(used, StepName::ALL.iter().map(|step| step.name()).collect());
        let known: BTreeMap<String, WrittenStep> = toml::from_str(STEPS).expect("steps");
        assert_eq!(known.len(), used.len(), "a definition without a step");
    }

    #[test]
    fn what_is_no_playbook_is_refused() {
        let text = "name='x'\ntitle={en='x',ja='x'}\nabout={en='x',ja='x'}\nwhen=[{on='mail'}]\nsteps=['judge'";
        let parse = |more: &str| Playbook::parse("x", &format!("{text}{more}"));
        assert!(parse("]").is_ok());
        assert!(matches!(parse(",'format_disk']"), Err(PlaybookError::Step { step, .. }) if step == "format_disk"));
        assert!(matches!(parse("]\nextra=1"), Err(PlaybookError::Toml { .. })));
        assert!(parse("]\n[timeout_seconds]\nnetwork=9").is_err(), "a time for a step it has not");
        assert_eq!(parse("]\n[timeout_seconds]\njudge=9").expect("reads").steps[0].timeout_seconds, 9);
        assert!(within("T1562.001", "T1562") && within("T1562", "T1562") && !within("T1562", "T156"));
    }
}
