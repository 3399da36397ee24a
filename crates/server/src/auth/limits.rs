//! Rate limit of logins, per account and per address, counted in the store.

use super::Auth;
use crate::http::{Answer, Fail};
use hinomi_model::Timestamp;
use hinomi_store::LoginFailures;

/// Failures with no longer pause than this between them add up, seconds; so long the wait lasts.
const WINDOW_SECONDS: i64 = 15 * 60;
/// Failures of one account before it has to wait.
const ACCOUNT_FAILURES_MAX: i64 = 10;
/// Failures from one address before it has to wait.
const ADDRESS_FAILURES_MAX: i64 = 30;

/// What is limited: an account (also one that does not exist) or the address of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginKey {
    key: String,
    failures_max: i64,
}

impl LoginKey {
    /// The key of a login name.
    pub fn account(name: &str) -> Self {
        LoginKey { key: format!("user:{name}"), failures_max: ACCOUNT_FAILURES_MAX }
    }

    /// The key of an address.
    pub fn address(address: &str) -> Self {
        LoginKey { key: format!("address:{address}"), failures_max: ADDRESS_FAILURES_MAX }
    }

    fn wait_seconds(&self, failures: &LoginFailures, now: Timestamp) -> Option<u64> {
        let left = failures.last_at.plus_seconds(WINDOW_SECONDS).micros_since(now);
        let over = failures.count >= self.failures_max && left > 0;
        over.then(|| u64::try_from(left / 1_000_000).unwrap_or(0) + 1)
    }
}

impl Auth {
    /// Checks that neither account nor address failed too often.
    ///
    /// # Errors
    /// 429.
    pub async fn check_limits(&self, keys: &[LoginKey]) -> Answer<()> {
        let now = self.ctx.now();
        for key in keys {
            let failures = self.ctx.store.login_failures(&key.key).await?;
            if let Some(seconds) = key.wait_seconds(&failures, now) {
                return Err(Fail::too_many(seconds));
            }
        }
        Ok(())
    }

    /// Counts a failure.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn login_failed(&self, keys: &[LoginKey]) -> Answer<()> {
        let now = self.ctx.now();
        self.ctx.store.prune_login_failures(now.plus_seconds(-WINDOW_SECONDS)).await?;
        for key in keys {
            self.ctx.store.count_login_failure(&key.key, now, WINDOW_SECONDS).await?;
        }
        Ok(())
    }

    /// Forgets the failures of an account after a good login.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn login_succeeded(&self, key: &LoginKey) -> Answer<()> {
        Ok(self.ctx.store.clear_login_failures(&key.key).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_failures_wait_and_pass() {
        let at = Timestamp::from_micros(0);
        let failures = |count| LoginFailures { count, first_at: at, last_at: at };
        let key = LoginKey::account("tanaka");
        assert_eq!(key.wait_seconds(&failures(ACCOUNT_FAILURES_MAX - 1), at), None);
        assert_eq!(key.wait_seconds(&failures(ACCOUNT_FAILURES_MAX), at.plus_seconds(60)), Some(841));
        assert_eq!(key.wait_seconds(&failures(ACCOUNT_FAILURES_MAX), at.plus_seconds(WINDOW_SECONDS)), None);
        assert_eq!(LoginKey::address("192.0.2.1").wait_seconds(&failures(ACCOUNT_FAILURES_MAX), at), None);
    }
}
