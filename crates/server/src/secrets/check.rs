//! Is this a secret of the kind a mail system wants?

use super::{Hidden, SecretKind};
use crate::mailboxes::Entries;
use anyhow::{Context, Result, ensure};
use hinomi_mail::graph::SigningKey;

/// Tells which of the wanted kinds a content is, without the line end behind it.
///
/// # Errors
/// When it is none of them; the content is never part of the error.
pub fn recognise(wanted: &[SecretKind], content: Hidden) -> Result<(SecretKind, Hidden)> {
    let text = content.text().ok().context("a secret is text")?;
    let is_pem = text.trim_start().starts_with("-----BEGIN ");
    let kind = match wanted {
        [only] => *only,
        _ if is_pem => SecretKind::Certificate,
        _ => SecretKind::ClientSecret,
    };
    ensure!(wanted.contains(&kind), "this mail system needs no secret");
    match kind {
        SecretKind::Credentials => {
            let entries = Entries::parse(text)?;
            ensure!(!entries.is_empty(), "there is no mailbox in these credentials");
        }
        SecretKind::Certificate => {
            SigningKey::from_pem(text, text)?;
        }
        SecretKind::Password | SecretKind::ClientSecret => {
            let line = text.strip_suffix('\n').unwrap_or(text);
            let line = line.strip_suffix('\r').unwrap_or(line);
            ensure!(!line.is_empty(), "the secret is empty");
            ensure!(!line.chars().any(char::is_control), "the secret is more than one line of text");
            return Ok((kind, Hidden::from(line)));
        }
    }
    Ok((kind, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_apart_and_never_quoted() {
        let all = |wanted: &[SecretKind], text: &str| {
            recognise(wanted, Hidden::from(text))
                .map(|(kind, content)| (kind, content.text().expect("text").to_owned()))
        };
        let password = [SecretKind::Password];
        assert_eq!(all(&password, "open sesame\n").expect("line"), (SecretKind::Password, "open sesame".to_owned()));
        assert_eq!(all(&password, "a \r\n").expect("line").1, "a ");
        for wrong in ["", "\n", "two\nlines\n"] {
            assert!(all(&password, wrong).is_err(), "{wrong:?}");
        }
        let graph = [SecretKind::ClientSecret, SecretKind::Certificate];
        assert_eq!(all(&graph, "abc").expect("secret").0, SecretKind::ClientSecret);
        assert!(all(&graph, "-----BEGIN CERTIFICATE-----\nx").is_err());
        let own = [SecretKind::Credentials];
        assert!(all(&own, "[\"a@x.test\"]\npassword = \"p\"\n").is_ok());
        let error = all(&own, "[\"a@x.test\"]\npassword = \"hunter2\" oops\n").expect_err("damaged");
        assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
        assert!(all(&[], "x").is_err());
    }
}
