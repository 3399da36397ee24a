//! Rate limit of logins, per account and per address, in memory.

use hinomi_model::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;

/// Failures count for this long, seconds.
const WINDOW_SECONDS: i64 = 15 * 60;
/// Failures of one account within the window before it has to wait.
const ACCOUNT_FAILURES_MAX: usize = 10;
/// Failures from one address within the window before it has to wait.
const ADDRESS_FAILURES_MAX: usize = 30;
/// Most keys kept; beyond it the oldest half is forgotten.
const KEYS_MAX: usize = 20_000;

/// What is limited.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LoginKey {
    /// A login name, also one that does not exist.
    Account(String),
    /// The address of the client.
    Address(String),
}

/// Counts failed logins. Lives in memory: a restart forgets, which costs an attacker more than it
/// gives.
#[derive(Debug, Default)]
pub struct LoginLimits {
    failures: Mutex<HashMap<LoginKey, Vec<Timestamp>>>,
}

impl LoginLimits {
    /// Returns how many seconds to wait when one of the keys is over its limit.
    pub fn wait_seconds(&self, keys: &[LoginKey], now: Timestamp) -> Option<u64> {
        let failures = self.failures.lock().expect("counting does not panic");
        let wait = |key: &LoginKey| {
            let max = match key {
                LoginKey::Account(_) => ACCOUNT_FAILURES_MAX,
                LoginKey::Address(_) => ADDRESS_FAILURES_MAX,
            };
            let recent: Vec<_> = failures.get(key)?.iter().filter(|at| within(**at, now)).collect();
            let oldest = recent.len().checked_sub(max).map(|over| recent[over])?;
            let micros = oldest.plus_seconds(WINDOW_SECONDS).micros_since(now);
            Some(u64::try_from(micros / 1_000_000).unwrap_or(0) + 1)
        };
        keys.iter().filter_map(wait).max()
    }

    /// Counts a failure.
    pub fn failed(&self, keys: &[LoginKey], now: Timestamp) {
        let mut failures = self.failures.lock().expect("counting does not panic");
        if failures.len() > KEYS_MAX {
            forget_oldest(&mut failures, now);
        }
        for key in keys {
            let times = failures.entry(key.clone()).or_default();
            times.retain(|at| within(*at, now));
            times.push(now);
            if times.len() > ADDRESS_FAILURES_MAX {
                times.remove(0);
            }
        }
    }

    /// Forgets the failures of an account after a good login.
    pub fn succeeded(&self, key: &LoginKey) {
        self.failures.lock().expect("counting does not panic").remove(key);
    }
}

fn within(at: Timestamp, now: Timestamp) -> bool {
    now.micros_since(at) < WINDOW_SECONDS * 1_000_000
}

fn forget_oldest(failures: &mut HashMap<LoginKey, Vec<Timestamp>>, now: Timestamp) {
    failures.retain(|_, times| times.last().is_some_and(|at| within(*at, now)));
    if failures.len() > KEYS_MAX {
        let mut newest: Vec<Timestamp> = failures.values().filter_map(|times| times.last().copied()).collect();
        newest.sort_unstable();
        let middle = newest[newest.len() / 2];
        failures.retain(|_, times| times.last().is_some_and(|at| *at > middle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_failures_wait_and_pass() {
        let limits = LoginLimits::default();
        let keys = [LoginKey::Account("tanaka".to_owned()), LoginKey::Address("192.0.2.1".to_owned())];
        let start = Timestamp::from_micros(0);
        for n in 0..ACCOUNT_FAILURES_MAX {
            assert_eq!(limits.wait_seconds(&keys, start), None, "{n}");
            limits.failed(&keys, start);
        }
        assert_eq!(limits.wait_seconds(&keys, start.plus_seconds(60)), Some(841));
        assert_eq!(limits.wait_seconds(&keys[1..], start), None, "the address may try other accounts");
        assert_eq!(limits.wait_seconds(&keys, start.plus_seconds(WINDOW_SECONDS)), None);
        limits.succeeded(&keys[0]);
        assert_eq!(limits.wait_seconds(&keys, start), None);
    }
}
