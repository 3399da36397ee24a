//! `hinomi mail secret`: the sealed secrets of mail systems, on the server itself.

use super::house::{Place, open_store};
use crate::output::{self, exit, line};
use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use hinomi_server::auth::offline;
use hinomi_server::secrets::{Hidden, SECRET_BYTES_MAX, SecretStore, recognise};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use serde_json::json;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

/// Verbs of secrets.
#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// Seal the secret of a mail system, read from standard input; a running server takes it up by itself
    ///
    /// For IMAP with a master user its password; for IMAP without one a TOML list of credentials; for
    /// Microsoft 365 the client secret, or the PEM of key and certificate. It is never an argument.
    Set {
        /// Name of the mail system in the configuration
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// List what is sealed: names, kinds, ages and versions, never a secret
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Seal everything anew with a new master key
    Rotate {
        /// File with the new master key, when the present one is given from outside
        #[arg(long)]
        new_key: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Take a secret out
    Remove {
        /// Name of the mail system
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

impl SecretVerb {
    /// Runs the verb.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub async fn run(self, json: bool) -> Result<u8> {
        match self {
            SecretVerb::Set { name, place } => set(name, place, json).await,
            SecretVerb::List { place } => list(place, json),
            SecretVerb::Rotate { new_key, place } => rotate(new_key, place, json).await,
            SecretVerb::Remove { name, place } => remove(name, place, json).await,
        }
    }
}

async fn set(name: String, place: Place, json: bool) -> Result<u8> {
    let (config, data) = place.config()?;
    let system = config.mailboxes.iter().find(|system| system.name == name);
    let system = system.with_context(|| format!("the configuration names no mailboxes {name:?}"))?;
    ensure!(!system.secret_kinds().is_empty(), "the mail system {name:?} needs no secret");
    if let Some(file) = system.secret_file() {
        eprintln!("note: {name:?} still reads {}; take that line out of the configuration", file.display());
    }
    let store = open_store(&config, &data).await?;
    let (kind, content) = recognise(system.secret_kinds(), typed()?)?;
    let secrets = SecretStore::of(&data);
    let told = tokio::task::spawn_blocking(move || secrets.set(&name, kind, &content)).await??;
    let detail = json!({ "kind": told.kind, "version": told.version });
    offline::secret_changed(&store, "set", &told.name, &detail).await?;
    match json {
        true => output::json(&told),
        false => line(&format!("{}  {}  version {}", told.name, told.kind.word(), told.version)),
    }
    Ok(exit::DONE)
}

fn list(place: Place, json: bool) -> Result<u8> {
    let (_, data) = place.config()?;
    let secrets = SecretStore::of(&data).list()?;
    Ok(output::list(json, &secrets, &["NAME", "KIND", "VERSION", "SET"], |secret| {
        vec![secret.name.clone(), secret.kind.word().to_owned(), secret.version.clone(), secret.set_at.to_string()]
    }))
}

async fn rotate(new_key: Option<PathBuf>, place: Place, json: bool) -> Result<u8> {
    let (config, data) = place.config()?;
    let store = open_store(&config, &data).await?;
    let secrets = SecretStore::of(&data);
    let rotated = tokio::task::spawn_blocking(move || secrets.rotate(new_key.as_deref())).await??;
    offline::secret_changed(&store, "rotate", "", &json!({ "secrets": rotated.secrets, "key": rotated.key })).await?;
    match json {
        true => output::json(&rotated),
        false => line(&format!("{} secrets sealed with master key {}", rotated.secrets, rotated.key)),
    }
    Ok(exit::DONE)
}

async fn remove(name: String, place: Place, json: bool) -> Result<u8> {
    let (config, data) = place.config()?;
    let store = open_store(&config, &data).await?;
    let secrets = SecretStore::of(&data);
    let gone = name.clone();
    let was_there = tokio::task::spawn_blocking(move || secrets.remove(&gone)).await??;
    if was_there {
        offline::secret_changed(&store, "remove", &name, &json!({})).await?;
    }
    match (json, was_there) {
        (true, _) => output::json(&json!({ "name": name, "removed": was_there })),
        (false, true) => line(&format!("{name} removed")),
        (false, false) => eprintln!("there is no secret {name:?}"),
    }
    Ok(if was_there { exit::DONE } else { exit::NOTHING })
}

/// Reads standard input to its end; a line typed on a terminal is not shown.
fn typed() -> Result<Hidden> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        eprint!("secret (one line, not shown): ");
        let before = tcgetattr(&input).context("ask the terminal")?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&input, SetArg::TCSAFLUSH, &quiet).context("quieten the terminal")?;
        let mut text = String::new();
        let read = input.read_line(&mut text);
        let restored = tcsetattr(&input, SetArg::TCSAFLUSH, &before);
        eprintln!();
        let text = Hidden::from(text.into_bytes());
        read.context("read the secret")?;
        restored.context("restore the terminal")?;
        return Ok(text);
    }
    let mut bytes = Vec::new();
    let read = (&mut input).take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    let bytes = Hidden::from(bytes);
    read.context("read the secret")?;
    Ok(bytes)
}
