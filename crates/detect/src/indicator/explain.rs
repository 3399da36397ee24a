//! Why a value is decided as it is, and what an indicator does where.

use super::{Entry, IndicatorSet, host_of, normal, parents};
use crate::content;
use hinomi_model::{
    ConsideredIndicator, IndicatorAction, IndicatorEffect, IndicatorKind, IndicatorPlace, IndicatorWhy, Timestamp,
};
use std::cmp::Reverse;

const HASHES: [IndicatorKind; 4] =
    [IndicatorKind::FileSha256, IndicatorKind::FileSha1, IndicatorKind::FileMd5, IndicatorKind::CertificateSha256];

impl IndicatorSet {
    /// Tells every indicator of the set that says something about a value, whatever kind of value it is:
    /// itself, its parent domains, the networks around it, the patterns it fits. What decides comes
    /// first, what has ended last.
    pub fn why(&self, value: &str, at: Timestamp) -> IndicatorWhy {
        let written = crate::indicator_list::refang(value.trim());
        let keys = self.keys(&written);
        let mut found: Vec<(&Entry, &(IndicatorKind, String))> = Vec::new();
        for key in &keys {
            found.extend(self.entries_of(key.0, &key.1).map(|entry| (entry, key)));
        }
        let ended = |entry: &Entry| entry.expires_at.is_some_and(|end| end <= at);
        // stable: among equals the first key, the most exact one, decides, as in `decide`
        found.sort_by_key(|(entry, _)| (ended(entry), Reverse(entry.action.rank())));
        let decided = found.first().filter(|(entry, _)| !ended(entry)).map(|(entry, _)| (entry.id, entry.action));
        let considered = found.iter().map(|(entry, (kind, value))| {
            let key = match decided {
                _ if ended(entry) => "why.ended",
                Some((id, _)) if id == entry.id => "why.decides",
                Some((_, action)) if action == entry.action => "why.exact",
                _ => "why.weaker",
            };
            let effects = effects(*kind, entry.action);
            let enforced = effects.iter().filter(|effect| effect.enforced && !ended(entry));
            ConsideredIndicator {
                id: entry.id,
                kind: *kind,
                value: value.clone(),
                action: entry.action,
                reason: content::text(&format!("indicator.{key}")),
                enforced_by: enforced.map(|effect| effect.place).collect(),
                effects,
                expires_at: entry.expires_at,
                ended: ended(entry),
                scope: self.scopes.values[entry.scope as usize].clone(),
            }
        });
        IndicatorWhy {
            value: written.clone(),
            decided_by: decided.map(|(id, _)| id),
            considered: considered.collect(),
            precedence: content::text("indicator.why.precedence"),
        }
    }

    /// Kinds and values an indicator could name a value by, the most exact first. `known` networks and
    /// patterns are those of the set.
    pub fn keys(&self, written: &str) -> Vec<(IndicatorKind, String)> {
        let mut keys: Vec<(IndicatorKind, String)> = HASHES.map(|kind| (kind, normal(kind, written))).into();
        keys.extend(self.address_keys(written));
        let mut names = |name: &str, kinds: &[IndicatorKind]| {
            let name = normal(IndicatorKind::Domain, name);
            for kind in kinds {
                keys.extend(parents(&name).map(|name| (*kind, name.to_owned())));
            }
        };
        match (host_of(written), written.rsplit_once('@')) {
            (Some(host), _) => names(host, &[IndicatorKind::Domain]),
            (None, Some((_, domain))) => names(domain, &[IndicatorKind::SenderDomain]),
            (None, None) => names(written, &[IndicatorKind::Domain, IndicatorKind::SenderDomain]),
        }
        if let Some(host) = host_of(written) {
            keys.push((IndicatorKind::Url, normal(IndicatorKind::Url, written)));
            keys.extend(self.address_keys(host.trim_matches(['[', ']'])));
        }
        keys.push((IndicatorKind::SenderAddress, normal(IndicatorKind::SenderAddress, written)));
        // a network or pattern by itself, and what the value lies in or fits
        keys.push((IndicatorKind::Cidr, normal(IndicatorKind::Cidr, written)));
        keys.push((IndicatorKind::SubjectPattern, normal(IndicatorKind::SubjectPattern, written)));
        keys.extend(self.subject_keys(written));
        let mut known = std::collections::HashSet::new();
        keys.retain(|key| known.insert(key.clone()));
        keys
    }
}

/// What an indicator does at each place: sensors refuse files by SHA-256, the gateway looks at files,
/// senders, links and subjects, the analyst at what both tell.
pub fn effects(kind: IndicatorKind, action: IndicatorAction) -> Vec<IndicatorEffect> {
    use IndicatorKind as Kind;
    use IndicatorPlace as Place;
    let about_mail = matches!(kind, Kind::SenderAddress | Kind::SenderDomain | Kind::SubjectPattern);
    let certificate = kind == Kind::CertificateSha256;
    let effect = |place: Place| {
        let (enforced, key) = match (place, action) {
            (_, _) if certificate => (false, "certificate"),
            (Place::Sensor, _) if about_mail => (false, "mail_only"),
            (Place::Alert, IndicatorAction::Allow) => (false, "allow"),
            (Place::Alert, _) => (true, "alert"),
            (_, IndicatorAction::Allow) => (true, "passes"),
            (_, IndicatorAction::Audit) => (false, "audit"),
            (Place::Gateway, IndicatorAction::Warn) => (true, "gateway.warn"),
            (Place::Sensor, IndicatorAction::Warn) => (false, "sensor.warn"),
            (Place::Gateway, _) => (true, "gateway.block"),
            (Place::Sensor, _) if kind == Kind::FileSha256 => (true, "sensor.block"),
            (Place::Sensor, _) if matches!(kind, Kind::FileSha1 | Kind::FileMd5) => (false, "sensor.hash"),
            (Place::Sensor, _) => (false, "sensor.network"),
        };
        IndicatorEffect { place, enforced, text: content::text(&format!("indicator.effect.{key}")) }
    };
    vec![effect(Place::Sensor), effect(Place::Gateway), effect(Place::Alert)]
}
