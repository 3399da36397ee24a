//! Who is asking: passwords, authenticator apps, passkeys, sessions, API tokens, the first code.
//!
//! Secrets are kept as hashes (session and API tokens, setup code), argon2id (passwords) or sealed
//! with the vault key (authenticator secrets). What a caller may do is decided by the permission of
//! the route, in `http::guard`.

mod caller;
pub mod csrf;
mod fresh;
mod limits;
pub mod offline;
mod passkeys;
mod password;
mod seal;
mod sessions;
mod setup;
mod tokens;
mod totp;
mod users;

pub use caller::{Caller, Note, Who, client_address, with_address};
pub use limits::LoginKey;
pub(crate) use passkeys::{NamedPasskey, read_stored, write_stored};
pub use passkeys::{PASSKEYS_MAX, PasskeyError, Passkeys, Purpose};
pub use sessions::{COOKIE, STEP_UP_SECONDS, cookie, cookie_gone, secret_of_cookie};
pub use setup::{LANGUAGE_SETTING, first_code, setup_required};
pub use tokens::{bearer, new_enrolment_token, new_token};
pub use users::{checked_mail, checked_name, forget_second_factors, new_record};

use crate::app::Ctx;
use hinomi_model::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Mutex;

/// The state of authentication that lives in memory.
pub struct Auth {
    ctx: Ctx,
    /// Passkey ceremonies.
    pub passkeys: Passkeys,
    /// Authenticator secrets shown but not yet confirmed by a code, by user.
    pending_totp: Mutex<HashMap<hinomi_model::UserId, (String, Timestamp)>>,
    /// Until when the password of a session counts as just typed.
    fresh_passwords: Mutex<HashMap<hinomi_model::SessionId, Timestamp>>,
}

impl Auth {
    /// Prepares authentication.
    pub fn new(ctx: Ctx) -> Self {
        let passkeys = Passkeys::new(&ctx.urls.console);
        Auth { ctx, passkeys, pending_totp: Mutex::default(), fresh_passwords: Mutex::default() }
    }
}

/// Returns `N` random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    crate::keys::random()
}

/// Returns 256 random bits as text for tokens and ceremonies.
pub(crate) fn random_text() -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random::<32>())
}

/// Returns the hash under which a high-entropy secret is stored.
pub(crate) fn secret_hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}
