//! Users and their secrets.

use super::{Auth, LoginKey, NamedPasskey, Purpose, password, read_stored, seal, totp, write_stored};
use crate::http::{Answer, Fail};
use hinomi_api::{LoginRequest, TotpStart};
use hinomi_model::{Language, Role, Timestamp, User, UserId};
use hinomi_store::UserRecord;
use std::sync::PoisonError;

/// A shown authenticator secret waits this long for its first code, seconds.
const TOTP_SETUP_SECONDS: i64 = 15 * 60;

/// Checks a login name and returns it in lower case.
///
/// # Errors
/// 400.
pub fn checked_name(name: &str) -> Answer<String> {
    let name = name.trim().to_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_@".contains(c);
    // "me" and "none" are words of filters
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) || name == "me" || name == "none" {
        return Err(Fail::field(
            "name",
            "a login name has 1 to 64 of a-z, 0-9, dot, hyphen, underscore and @",
            "ログイン名は a-z、0-9、ドット、ハイフン、アンダースコア、@ の 1〜64 文字です",
        ));
    }
    Ok(name)
}

/// Checks a new password.
///
/// # Errors
/// 400.
pub fn check_password(field: &str, text: &str) -> Answer<()> {
    if text.chars().count() < password::LENGTH_MIN || text.len() > password::LENGTH_MAX {
        return Err(Fail::field(
            field,
            format!("a password has at least {} characters", password::LENGTH_MIN),
            format!("パスワードは {} 文字以上にしてください", password::LENGTH_MIN),
        ));
    }
    Ok(())
}

/// Checks a mail address as far as mistakes of typing go.
///
/// # Errors
/// 400.
pub fn checked_mail(mail: Option<String>) -> Answer<Option<String>> {
    let Some(mail) = mail.map(|mail| mail.trim().to_owned()).filter(|mail| !mail.is_empty()) else { return Ok(None) };
    let plausible = mail.len() <= 254
        && !mail.chars().any(|c| c.is_whitespace() || c.is_control())
        && mail.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if plausible {
        return Ok(Some(mail));
    }
    Err(Fail::field("mail", "this is not a mail address", "メールアドレスではありません"))
}

/// Builds the record of a new user.
pub fn new_record(
    name: String,
    password_hash: String,
    role: Role,
    language: Language,
    mail: Option<String>,
    now: Timestamp,
) -> UserRecord {
    let user = User {
        id: crate::ids::new(),
        name,
        mail,
        role,
        language,
        totp: false,
        passkeys: Vec::new(),
        disabled: false,
        created_at: now,
        last_login: None,
        version: 1,
    };
    UserRecord { user, password_hash, totp_secret: None, totp_last_step: 0, passkeys_json: "[]".to_owned() }
}

/// Removes authenticator app and passkeys.
pub fn forget_second_factors(record: &mut UserRecord) {
    record.totp_secret = None;
    record.user.totp = false;
    set_passkeys(record, &[]);
}

fn set_passkeys(record: &mut UserRecord, keys: &[NamedPasskey]) {
    record.passkeys_json = write_stored(keys);
    record.user.passkeys = keys.iter().map(|one| one.name.clone()).collect();
}

impl Auth {
    /// Checks name, password and second factor; returns the user.
    ///
    /// # Errors
    /// 401 `wrong_login` or `totp_required`, 429.
    pub async fn login(&self, request: LoginRequest, address: &str) -> Answer<User> {
        let name = request.name.trim().to_lowercase();
        let name: String = name.chars().take(64).collect();
        let keys = [LoginKey::account(&name), LoginKey::address(address)];
        self.check_limits(&keys).await?;
        let record = self.ctx.store.user_by_name(&name).await?.filter(|record| !record.user.disabled);
        let hash = record.as_ref().map(|record| record.password_hash.clone());
        let right = password::verify(request.password, hash).await;
        let Some(record) = record.filter(|_| right) else {
            self.login_failed(&keys).await?;
            return Err(Fail::wrong_login());
        };
        if record.user.totp {
            let Some(code) = request.totp.filter(|code| !code.trim().is_empty()) else {
                return Err(Fail {
                    code: "totp_required",
                    en: "enter the code of your authenticator app".to_owned(),
                    ja: "認証アプリのコードを入力してください".to_owned(),
                    ..Fail::unauthenticated()
                });
            };
            if !self.use_totp(&record, &code).await? {
                self.login_failed(&keys).await?;
                return Err(Fail::wrong_login());
            }
        }
        self.login_succeeded(&keys[0]).await?;
        self.logged_in(record.user.id).await
    }

    /// Notes a login.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn logged_in(&self, user: UserId) -> Answer<User> {
        let now = self.ctx.now();
        self.change(user, |record| {
            record.user.last_login = Some(now);
            Ok(())
        })
        .await
    }

    /// Changes a user's record in one transaction; returns the user.
    ///
    /// # Errors
    /// 404, or what `change` says.
    pub async fn change(
        &self,
        user: UserId,
        change: impl FnOnce(&mut UserRecord) -> Answer<()> + Send,
    ) -> Answer<User> {
        let mut tx = self.ctx.store.begin().await?;
        let mut record = tx.user(user).await?.ok_or_else(Fail::not_found)?;
        change(&mut record)?;
        let version = record.user.version;
        let changed = tx.update_user(&record, version).await?;
        tx.commit().await?;
        Ok(changed.user)
    }

    /// Checks a code of the user's authenticator app and uses up its step: of two requests with the
    /// same code one wins.
    async fn use_totp(&self, record: &UserRecord, code: &str) -> Answer<bool> {
        let user = record.user.id;
        let secret = record.totp_secret.as_deref().and_then(|sealed| self.open_secret(user, sealed));
        let Some(secret) = secret else { return Ok(false) };
        match totp::check(&secret, code, self.ctx.now(), record.totp_last_step) {
            Some(step) => Ok(self.ctx.store.use_totp_step(user, step).await?),
            None => Ok(false),
        }
    }

    fn open_secret(&self, user: UserId, sealed: &str) -> Option<String> {
        seal::open(self.ctx.keys.vault(), &format!("totp:{user}"), sealed)
    }

    /// Makes an authenticator secret that waits for its first code.
    ///
    /// # Errors
    /// When the URL cannot be made.
    pub fn start_totp(&self, user: &User) -> Answer<TotpStart> {
        let secret = totp::new_secret();
        let otpauth_url = totp::otpauth_url(&secret, &user.name).ok_or_else(|| Fail::internal("no otpauth URL"))?;
        let until = self.ctx.now().plus_seconds(TOTP_SETUP_SECONDS);
        let mut pending = self.pending_totp.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|_, (_, until)| *until > self.ctx.now());
        pending.insert(user.id, (secret.clone(), until));
        Ok(TotpStart { secret, otpauth_url })
    }

    /// Sets up the authenticator app when its first code is right.
    ///
    /// # Errors
    /// 400 for a wrong code, 409 when none waits.
    pub async fn finish_totp(&self, user: &User, code: &str) -> Answer<User> {
        let now = self.ctx.now();
        let waiting = self.pending_totp.lock().unwrap_or_else(PoisonError::into_inner).get(&user.id).cloned();
        let Some((secret, _)) = waiting.filter(|(_, until)| *until > now) else {
            return Err(Fail::conflict(
                "totp_not_started",
                "begin to set up the authenticator app first",
                "先に認証アプリの設定を開始してください",
            ));
        };
        let Some(step) = totp::check(&secret, code, now, 0) else { return Err(wrong_code()) };
        let sealed = seal::seal(self.ctx.keys.vault(), &format!("totp:{}", user.id), &secret);
        let changed = self
            .change(user.id, |record| {
                record.totp_secret = Some(sealed);
                record.user.totp = true;
                Ok(())
            })
            .await?;
        self.ctx.store.use_totp_step(user.id, step).await?;
        self.pending_totp.lock().unwrap_or_else(PoisonError::into_inner).remove(&user.id);
        Ok(changed)
    }

    /// Checks a code of the user's authenticator app outside login (step-up).
    ///
    /// # Errors
    /// 400 for a wrong code, 409 without app, 429.
    pub async fn prove_by_totp(&self, user: UserId, code: &str, address: &str) -> Answer<()> {
        let record = self.ctx.store.user(user).await?.ok_or_else(Fail::not_found)?;
        if !record.user.totp {
            return Err(Fail::conflict(
                "no_totp",
                "no authenticator app is set up; set it up in your profile",
                "認証アプリが設定されていません。プロフィールで設定してください",
            ));
        }
        let keys = [LoginKey::account(&record.user.name), LoginKey::address(address)];
        self.check_limits(&keys).await?;
        if self.use_totp(&record, code).await? {
            return Ok(());
        }
        self.login_failed(&keys).await?;
        Err(wrong_code())
    }

    /// Compares the password of a user.
    ///
    /// # Errors
    /// 429, or when the store fails.
    pub async fn password_fits(&self, user: UserId, text: String, address: &str) -> Answer<bool> {
        let record = self.ctx.store.user(user).await?.ok_or_else(Fail::not_found)?;
        let keys = [LoginKey::account(&record.user.name), LoginKey::address(address)];
        self.check_limits(&keys).await?;
        let fits = password::verify(text, Some(record.password_hash)).await;
        if !fits {
            self.login_failed(&keys).await?;
        }
        Ok(fits)
    }

    /// Hashes a new password after checking its length.
    ///
    /// # Errors
    /// 400.
    pub async fn new_password_hash(&self, field: &str, text: String) -> Answer<String> {
        check_password(field, &text)?;
        Ok(password::hash(text).await)
    }

    /// Ends a passkey login or step-up; returns the user it belongs to.
    ///
    /// # Errors
    /// 401 when it is not accepted.
    pub async fn finish_passkey(
        &self,
        ceremony: &str,
        purpose: Purpose,
        credential: serde_json::Value,
    ) -> Answer<User> {
        let user = self.passkeys.user_of(ceremony).ok_or_else(Fail::wrong_login)?;
        let now = self.ctx.now();
        self.change(user, |record| {
            if record.user.disabled {
                return Err(Fail::wrong_login());
            }
            let mut keys = read_stored(&record.passkeys_json);
            let changed = self.passkeys.finish_authentication(ceremony, user, purpose, credential, &mut keys, now)?;
            if changed {
                record.passkeys_json = write_stored(&keys);
            }
            Ok(())
        })
        .await
    }

    /// Adds or replaces the passkeys of a user.
    ///
    /// # Errors
    /// What `change` says.
    pub async fn change_passkeys(
        &self,
        user: UserId,
        change: impl FnOnce(&mut Vec<NamedPasskey>) -> Answer<()> + Send,
    ) -> Answer<User> {
        self.change(user, |record| {
            let mut keys = read_stored(&record.passkeys_json);
            change(&mut keys)?;
            set_passkeys(record, &keys);
            Ok(())
        })
        .await
    }
}

fn wrong_code() -> Fail {
    Fail::field("code", "the code is wrong or was used before", "コードが正しくないか、すでに使用されています")
}
