//! Time-based one-time passwords (RFC 6238): six digits, 30 seconds, SHA-1, one step of skew; each
//! step is accepted once.

use hinomi_model::Timestamp;
use totp_rs::{Builder, Secret, Totp};

/// Bytes of a secret (RFC 4226 recommends 20).
const SECRET_BYTES: usize = 20;

/// Makes a new secret, base32.
pub fn new_secret() -> String {
    Secret::new(Box::new(crate::auth::random::<SECRET_BYTES>())).to_base32()
}

/// Returns the `otpauth://` URL that an authenticator app reads as a QR code.
pub fn otpauth_url(secret: &str, user: &str) -> Option<String> {
    // a colon separates issuer and account in the URL's label
    totp(secret, &user.replace(':', "_"))?.to_url().ok()
}

/// Checks a code; returns its step when it is right and newer than `last_step`.
pub fn check(secret: &str, code: &str, now: Timestamp, last_step: i64) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = u64::try_from(now.as_micros() / 1_000_000).ok()?;
    let step = i64::try_from(totp(secret, "user")?.check(&code, seconds)?).ok()?;
    (step > last_step).then_some(step)
}

fn totp(secret: &str, user: &str) -> Option<Totp> {
    let secret = Secret::try_from_base32(secret).ok()?;
    Builder::new().with_secret(secret).with_account_name(user).with_issuer(Some("Hinomi")).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_fits_once() {
        // RFC 6238 appendix B, SHA-1: the secret is ASCII "12345678901234567890"; 94287082 at 59 s
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let at = Timestamp::from_micros(59_000_000);
        assert_eq!(check(secret, "287 082", at, 0), Some(1));
        assert_eq!(check(secret, "287082", at, 1), None, "replayed");
        assert_eq!(check(secret, "287083", at, 0), None);
        assert_eq!(check(secret, "287082", at.plus_seconds(90), 0), None, "old");
        assert_eq!(check(secret, "", at, 0), None);
    }

    #[test]
    fn urls_are_for_apps() {
        let secret = new_secret();
        let url = otpauth_url(&secret, "tanaka@example.jp").expect("url");
        assert!(url.starts_with("otpauth://totp/Hinomi:tanaka%40example.jp?secret="), "{url}");
        assert_eq!(secret.len(), 32);
    }
}
