//! Passwords: argon2id, 19 MiB, two passes (OWASP password storage cheat sheet).

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use std::sync::OnceLock;
use tokio::sync::Semaphore;

/// Fewest characters of a password (NIST SP 800-63B asks for at least 8, or 15 alone).
pub const LENGTH_MIN: usize = 12;
/// Most bytes of a password: enough for any passphrase, and hashing stays cheap.
pub const LENGTH_MAX: usize = 1024;

/// At most this many hashes at once, so that a flood of logins costs bounded memory.
static HASHING: Semaphore = Semaphore::const_new(4);

fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("constant parameters within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_now(password: &str) -> String {
    let hash: PasswordHash = argon2().hash_password(password.as_bytes()).expect("the system gives random bytes");
    hash.to_string()
}

fn verify_now(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Hashes a password into a PHC string, off the async threads.
pub async fn hash(password: String) -> String {
    let _permit = HASHING.acquire().await.expect("the semaphore is never closed");
    tokio::task::spawn_blocking(move || hash_now(&password)).await.expect("hashing does not panic")
}

/// Compares a password with a hash. Without a hash (no such user) it takes as long and is false, so
/// that answers do not tell who exists.
pub async fn verify(password: String, hash: Option<String>) -> bool {
    static DUMMY: OnceLock<String> = OnceLock::new();
    if password.len() > LENGTH_MAX {
        return false;
    }
    let _permit = HASHING.acquire().await.expect("the semaphore is never closed");
    let work = move || match hash {
        Some(hash) => verify_now(&password, &hash),
        None => {
            verify_now(&password, DUMMY.get_or_init(|| hash_now("nobody has this password")));
            false
        }
    };
    tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let hashed = hash("correct horse battery".to_owned()).await;
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(verify("correct horse battery".to_owned(), Some(hashed.clone())).await);
        assert!(!verify("correct horse batterie".to_owned(), Some(hashed)).await);
        assert!(!verify("nobody has this password".to_owned(), None).await);
        assert!(!verify("x".to_owned(), Some("damaged".to_owned())).await);
    }
}
