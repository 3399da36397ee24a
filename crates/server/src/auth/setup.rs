//! The first administrator, made with a one-time code that the server printed on its terminal.

use super::{Auth, LoginKey, password, secret_hash, users};
use crate::app::Ctx;
use crate::http::{Answer, Fail};
use hinomi_api::SetupRequest;
use hinomi_model::{Role, User};
use hinomi_store::Store;

/// Setting that holds the hash of the code.
pub(super) const CODE_SETTING: &str = "setup_code_sha256";
/// Setting that holds the language of the server.
pub const LANGUAGE_SETTING: &str = "language";
/// Letters of a code: no look-alikes.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Tells whether nobody can log in yet.
///
/// # Errors
/// When the store fails.
pub async fn setup_required(store: &Store) -> Result<bool, hinomi_store::StoreError> {
    Ok(store.user_count().await? == 0)
}

/// Makes a new one-time code, replacing any earlier one; only its hash is kept.
///
/// # Errors
/// When the store fails.
pub(super) async fn new_code(store: &Store) -> Result<String, hinomi_store::StoreError> {
    // 16 letters of 5 bits: 80 bits, grouped for reading aloud
    let letters: Vec<char> =
        super::random::<16>().iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let code = letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-");
    store.set_setting(CODE_SETTING, &secret_hash(&normalised(&code))).await?;
    Ok(code)
}

fn normalised(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

impl Auth {
    /// Uses up the code: makes the administrator, or gives an existing user of that name a new
    /// password and the administrator's role (a lost login, `hinomi users reset-code`).
    ///
    /// # Errors
    /// 401 for a wrong or used code, 429, 400 for name and password.
    pub async fn set_up(&self, request: SetupRequest, address: &str) -> Answer<User> {
        // a colon is no part of a login name: nobody's account is locked by wrong codes
        let keys = [LoginKey::account(":setup"), LoginKey::address(address)];
        self.check_limits(&keys).await?;
        let name = users::checked_name(&request.name)?;
        users::check_password("password", &request.password)?;
        let hash = password::hash(request.password).await;
        let given = secret_hash(&normalised(&request.code));
        let mut tx = self.ctx.store.begin().await?;
        let expected = tx.setting(CODE_SETTING).await?.unwrap_or_default();
        // both are hashes: comparing them early tells nothing about the code
        if expected.is_empty() || expected != given {
            drop(tx);
            self.login_failed(&keys).await?;
            return Err(Fail::wrong_login());
        }
        tx.set_setting(CODE_SETTING, "").await?;
        let language = serde_json::to_value(request.language).unwrap_or_default();
        tx.set_setting(LANGUAGE_SETTING, language.as_str().unwrap_or("en")).await?;
        let user = match tx.user_by_name(&name).await? {
            Some(mut record) => {
                record.password_hash = hash;
                users::forget_second_factors(&mut record);
                record.user.role = Role::Administrator;
                record.user.disabled = false;
                record.user.language = request.language;
                let version = record.user.version;
                tx.update_user(&record, version).await?.user
            }
            None => {
                let language = request.language;
                let record = users::new_record(name, hash, Role::Administrator, language, None, self.ctx.now());
                tx.add_user(&record).await?;
                record.user
            }
        };
        tx.delete_sessions_of_user(user.id, None).await?;
        tx.commit().await?;
        Ok(user)
    }
}

/// Makes a one-time code while nobody can log in, for the terminal only: it never goes into a log.
/// Every start makes a new one.
///
/// # Errors
/// When the store fails.
pub async fn first_code(ctx: &Ctx) -> Result<Option<String>, hinomi_store::StoreError> {
    if setup_required(&ctx.store).await? { new_code(&ctx.store).await.map(Some) } else { Ok(None) }
}
