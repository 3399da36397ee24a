//! Passkeys: WebAuthn ceremonies, their state in memory between start and finish.

use hinomi_model::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Mutex;
use url::Url;
use webauthn_rs::prelude::{
    Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential, Webauthn,
    WebauthnBuilder,
};

/// A ceremony lasts this long, seconds.
const CEREMONY_SECONDS: i64 = 5 * 60;
/// Most ceremonies open at once; beyond it the oldest ends.
const CEREMONIES_MAX: usize = 1_000;
/// Most passkeys of one user.
pub const PASSKEYS_MAX: usize = 20;

/// A passkey with the name its owner gave it, as stored with the user.
#[derive(Clone, Serialize, Deserialize)]
pub struct NamedPasskey {
    /// Name.
    pub name: String,
    /// The public key and its counter.
    pub key: Passkey,
}

/// Reads the passkeys stored with a user; an empty text is none.
pub fn read_stored(json: &str) -> Vec<NamedPasskey> {
    serde_json::from_str(json).unwrap_or_default()
}

/// Writes passkeys as they are stored with a user.
pub fn write_stored(keys: &[NamedPasskey]) -> String {
    serde_json::to_string(keys).expect("passkeys always serialise")
}

/// Why a passkey ceremony did not work.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// Browsers know passkeys only for names.
    #[error("passkeys need the console to be opened by a host name, not by an address")]
    NeedsHostName,
    /// The user has no passkey.
    #[error("no passkey is registered")]
    None,
    /// Unknown, expired or already used ceremony.
    #[error("the passkey ceremony is unknown or over")]
    Over,
    /// Signature, origin, counter or format is wrong.
    #[error("the passkey was not accepted")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

enum Ceremony {
    Register(PasskeyRegistration),
    Authenticate(PasskeyAuthentication),
}

struct Open {
    user: UserId,
    purpose: Purpose,
    ceremony: Ceremony,
    until: Timestamp,
}

/// What a ceremony is for: one begun for login cannot end as step-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Adds a passkey.
    Register,
    /// Logs in.
    Login,
    /// Proves presence.
    StepUp,
}

/// The ceremonies of this server.
pub struct Passkeys {
    webauthn: Option<Webauthn>,
    open: Mutex<HashMap<String, Open>>,
}

impl Passkeys {
    /// Prepares ceremonies for the console at `public_url`. A loopback address stands for
    /// `localhost`; other addresses have no passkeys, because browsers bind them to names.
    pub fn new(public_url: &str) -> Self {
        Passkeys { webauthn: webauthn(public_url), open: Mutex::default() }
    }

    fn webauthn(&self) -> Result<&Webauthn, PasskeyError> {
        self.webauthn.as_ref().ok_or(PasskeyError::NeedsHostName)
    }

    /// Begins a registration; returns the ceremony's name and the options for the browser.
    ///
    /// # Errors
    /// Without a host name.
    pub fn start_registration(
        &self,
        user: UserId,
        name: &str,
        known: &[NamedPasskey],
        now: Timestamp,
    ) -> Result<(String, serde_json::Value), PasskeyError> {
        let exclude = known.iter().map(|one| one.key.cred_id().clone()).collect();
        let (options, state) = self
            .webauthn()?
            .start_passkey_registration(user.0, name, name, Some(exclude))
            .map_err(|error| PasskeyError::Refused(error.into()))?;
        let ceremony = self.keep(user, Purpose::Register, Ceremony::Register(state), now);
        Ok((ceremony, to_json(&options)))
    }

    /// Ends a registration; returns the new passkey.
    ///
    /// # Errors
    /// When the ceremony is over or the credential is not accepted.
    pub fn finish_registration(
        &self,
        ceremony: &str,
        user: UserId,
        credential: serde_json::Value,
        now: Timestamp,
    ) -> Result<Passkey, PasskeyError> {
        let Ceremony::Register(state) = self.take(ceremony, Purpose::Register, now).filter_user(user)?.ceremony else {
            return Err(PasskeyError::Over);
        };
        let credential: RegisterPublicKeyCredential = from_json(credential)?;
        self.webauthn()?
            .finish_passkey_registration(&credential, &state)
            .map_err(|error| PasskeyError::Refused(error.into()))
    }

    /// Begins a login or step-up.
    ///
    /// # Errors
    /// Without a host name or passkeys.
    pub fn start_authentication(
        &self,
        user: UserId,
        purpose: Purpose,
        known: &[NamedPasskey],
        now: Timestamp,
    ) -> Result<(String, serde_json::Value), PasskeyError> {
        let webauthn = self.webauthn()?;
        if known.is_empty() {
            return Err(PasskeyError::None);
        }
        let keys: Vec<Passkey> = known.iter().map(|one| one.key.clone()).collect();
        let (options, state) =
            webauthn.start_passkey_authentication(&keys).map_err(|error| PasskeyError::Refused(error.into()))?;
        let ceremony = self.keep(user, purpose, Ceremony::Authenticate(state), now);
        Ok((ceremony, to_json(&options)))
    }

    /// Returns whose ceremony it is, without ending it.
    pub fn user_of(&self, ceremony: &str) -> Option<UserId> {
        self.open.lock().expect("bookkeeping does not panic").get(ceremony).map(|open| open.user)
    }

    /// Ends a login or step-up; updates the counter of the passkey used in `known` and tells
    /// whether it changed.
    ///
    /// # Errors
    /// When the ceremony is over, of another user or the assertion is not accepted.
    pub fn finish_authentication(
        &self,
        ceremony: &str,
        user: UserId,
        purpose: Purpose,
        credential: serde_json::Value,
        known: &mut [NamedPasskey],
        now: Timestamp,
    ) -> Result<bool, PasskeyError> {
        let Ceremony::Authenticate(state) = self.take(ceremony, purpose, now).filter_user(user)?.ceremony else {
            return Err(PasskeyError::Over);
        };
        let credential: PublicKeyCredential = from_json(credential)?;
        let result = self
            .webauthn()?
            .finish_passkey_authentication(&credential, &state)
            .map_err(|error| PasskeyError::Refused(error.into()))?;
        // the key may have been removed since the start
        let used = known.iter_mut().find(|one| one.key.cred_id() == result.cred_id()).ok_or(PasskeyError::None)?;
        Ok(used.key.update_credential(&result).unwrap_or(false))
    }

    fn keep(&self, user: UserId, purpose: Purpose, ceremony: Ceremony, now: Timestamp) -> String {
        let name = crate::auth::random_text();
        let mut open = self.open.lock().expect("bookkeeping does not panic");
        open.retain(|_, one| one.until > now);
        if open.len() >= CEREMONIES_MAX
            && let Some(oldest) = open.iter().min_by_key(|(_, one)| one.until).map(|(name, _)| name.clone())
        {
            open.remove(&oldest);
        }
        open.insert(name.clone(), Open { user, purpose, ceremony, until: now.plus_seconds(CEREMONY_SECONDS) });
        name
    }

    fn take(&self, name: &str, purpose: Purpose, now: Timestamp) -> Option<Open> {
        let open = self.open.lock().expect("bookkeeping does not panic").remove(name)?;
        (open.purpose == purpose && open.until > now).then_some(open)
    }
}

trait OfUser {
    fn filter_user(self, user: UserId) -> Result<Open, PasskeyError>;
}

impl OfUser for Option<Open> {
    fn filter_user(self, user: UserId) -> Result<Open, PasskeyError> {
        self.filter(|open| open.user == user).ok_or(PasskeyError::Over)
    }
}

fn webauthn(public_url: &str) -> Option<Webauthn> {
    let mut origin = Url::parse(public_url).ok()?;
    let loopback = match origin.host()? {
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
        url::Host::Domain(_) => false,
    };
    if loopback {
        origin.set_host(Some("localhost")).ok()?;
    }
    let host = origin.domain()?.to_owned();
    WebauthnBuilder::new(&host, &origin).ok()?.rp_name("Hinomi").build().ok()
}

fn to_json<T: Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).expect("WebAuthn options always serialise")
}

fn from_json<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, PasskeyError> {
    serde_json::from_value(value).map_err(|error| PasskeyError::Refused(error.into()))
}
