//! The master key of the sealed secrets, and where it comes from.
//!
//! In this order: the file that `HINOMI_MAIL_KEY_FILE` names; the systemd credential
//! `hinomi.mail.key` (`LoadCredentialEncrypted=`); `DIR/keys/mail.key`, made with the first secret.
//! A key of one's own is 32 bytes, raw or as 64 hexadecimal digits
//! (`openssl rand -hex 32 > mail.key`).

use super::Hidden;
use crate::keys::{random, write_new};
use anyhow::{Context, Result, bail, ensure};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Names a file with the master key.
pub const KEY_FILE_VARIABLE: &str = "HINOMI_MAIL_KEY_FILE";
/// Name of the systemd credential.
const CREDENTIAL: &str = "hinomi.mail.key";

/// Where master keys are looked for.
#[derive(Debug, Clone)]
pub(crate) enum Masters {
    /// Given from outside: we read it, somebody else changes it.
    Given(PathBuf),
    /// Our own, in the data folder; with the next one beside it while a rotation runs.
    Own {
        /// In force.
        now: PathBuf,
        /// In force as soon as the secrets are sealed with it.
        next: PathBuf,
    },
}

impl std::fmt::Display for Masters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Masters::Given(path) | Masters::Own { now: path, .. } => write!(f, "the one of {}", path.display()),
        }
    }
}

impl Masters {
    pub(super) fn from_environment(data: &Path) -> Self {
        if let Some(given) = std::env::var_os(KEY_FILE_VARIABLE).filter(|value| !value.is_empty()) {
            return Masters::Given(given.into());
        }
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| Path::new(&dir).join(CREDENTIAL));
        match credential.filter(|path| path.exists()) {
            Some(given) => Masters::Given(given),
            None => Masters::in_folder(data),
        }
    }

    pub(super) fn in_folder(data: &Path) -> Self {
        let keys = data.join("keys");
        Masters::Own { now: keys.join("mail.key"), next: keys.join("mail.key.next") }
    }

    /// The key in force; our own is made when it is missing.
    pub(super) fn own_or_made(&self) -> Result<Master> {
        match self {
            Masters::Given(path) => Master::read(path)?.with_context(|| format!("{} is missing", path.display())),
            Masters::Own { now, .. } => match Master::read(now)? {
                Some(master) => Ok(master),
                None => {
                    let made = Master::random();
                    made.write(now)?;
                    Ok(made)
                }
            },
        }
    }

    /// The key with this id, if it is here.
    pub(super) fn with_id(&self, id: &str) -> Result<Option<Master>> {
        let paths = match self {
            Masters::Given(path) => vec![path],
            Masters::Own { now, next } => vec![now, next],
        };
        for path in paths {
            if let Some(master) = Master::read(path)?.filter(|master| master.id() == id) {
                return Ok(Some(master));
            }
        }
        Ok(None)
    }

    /// Ends what an interrupted rotation left: the next key becomes the one in force when the secrets
    /// are sealed with it (`sealed_with`), and goes otherwise. Who calls holds the lock.
    pub(super) fn settle(&self, sealed_with: Option<&str>) -> Result<()> {
        let Masters::Own { now, next } = self else { return Ok(()) };
        let Some(waiting) = Master::read(next)? else { return Ok(()) };
        if sealed_with == Some(waiting.id().as_str()) {
            fs::rename(next, now).with_context(|| format!("rename {}", next.display()))
        } else {
            fs::remove_file(next).with_context(|| format!("remove {}", next.display()))
        }
    }
}

/// A master key.
pub(crate) struct Master(Hidden);

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Master {
    pub(super) fn random() -> Self {
        Master(Hidden::from(random::<32>().to_vec()))
    }

    /// Reads one; `None` when there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let shown = path.display();
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.with_context(|| format!("open {shown}"))?,
        };
        let mut bytes = Vec::with_capacity(128);
        file.take(128).read_to_end(&mut bytes).with_context(|| format!("read {shown}"))?;
        let bytes = Hidden::from(bytes);
        if bytes.bytes().len() == 32 {
            return Ok(Some(Master(bytes)));
        }
        let digits = bytes.text().ok().map(str::trim).filter(|digits| digits.len() == 64);
        match digits.and_then(|digits| hex::decode(digits).ok()) {
            Some(key) => Ok(Some(Master(Hidden::from(key)))),
            None => bail!("{shown} holds neither 32 bytes nor 64 hexadecimal digits"),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        write_new(path, self.0.bytes())
    }

    /// Tells keys apart without telling anything about them.
    pub(super) fn id(&self) -> String {
        hex::encode(self.derived("id", "", 8).bytes())
    }

    /// The key of one secret.
    pub(super) fn key_of(&self, name: &str) -> Hidden {
        self.derived("secret", name, 32)
    }

    fn derived(&self, purpose: &str, name: &str, length: usize) -> Hidden {
        let prk: Prk = Salt::new(HKDF_SHA256, b"hinomi mail secrets 1").extract(self.0.bytes());
        let info = [purpose.as_bytes(), b"\0", name.as_bytes()];
        let mut out = vec![0; length];
        let derived = prk.expand(&info, Length(length)).and_then(|okm| okm.fill(&mut out));
        derived.expect("these lengths are within the limit of HKDF");
        Hidden::from(out)
    }
}

/// Reads a key somebody made.
pub(super) fn given(path: &Path) -> Result<Master> {
    let read = Master::read(path)?;
    ensure!(read.is_some(), "{} is missing", path.display());
    Ok(read.expect("just looked"))
}
