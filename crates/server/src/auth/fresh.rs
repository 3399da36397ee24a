//! Adding a second factor: an open session alone is not enough, or whoever finds a browser open
//! could lock its owner out with a factor of their own.

use super::{Auth, Caller};
use crate::http::{Answer, Fail};
use hinomi_model::{SessionId, Timestamp};
use std::sync::PoisonError;

/// A password is fresh this long after login or confirmation, seconds; as long as proof of presence.
const PASSWORD_FRESH_SECONDS: i64 = super::STEP_UP_SECONDS;

impl Auth {
    /// Checks that the caller may change second factors: by proof of presence when there is a
    /// factor, by a fresh password for the first one.
    ///
    /// # Errors
    /// 403 `step_up_required` or `password_required`.
    pub fn may_change_factors(&self, caller: &Caller) -> Answer<()> {
        let (user, session) = caller.person()?;
        let now = self.ctx.now();
        if user.totp || !user.passkeys.is_empty() {
            return caller.require_step_up(now);
        }
        // without a second factor the session was opened by password
        let login = session.created_at.plus_seconds(PASSWORD_FRESH_SECONDS);
        let fresh = |id: SessionId| -> Option<Timestamp> {
            self.fresh_passwords.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
        };
        if login > now || fresh(session.id).is_some_and(|until| until > now) {
            return Ok(());
        }
        Err(Fail::password_required())
    }

    /// Confirms the password of the caller in this session.
    ///
    /// # Errors
    /// 400 for a wrong one, 429.
    pub async fn confirm_password(&self, caller: &Caller, password: String) -> Answer<()> {
        let (user, session) = caller.person()?;
        if !self.password_fits(user.id, password, &caller.address).await? {
            return Err(Fail::field("password", "the password is wrong", "パスワードが正しくありません"));
        }
        let now = self.ctx.now();
        let mut fresh = self.fresh_passwords.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.retain(|_, until| *until > now);
        fresh.insert(session.id, now.plus_seconds(PASSWORD_FRESH_SECONDS));
        Ok(())
    }
}
