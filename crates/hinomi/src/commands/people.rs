//! `hinomi users`, `hinomi token`, `hinomi enrolment-token`

use super::house::{Place, open_keys, open_store};
use crate::client::Client;
use crate::output::{self, exit, line};
use anyhow::{Result, bail};
use clap::Subcommand;
use hinomi_model::{Role, User};
use hinomi_server::auth::offline;

/// Verbs of users.
#[derive(Debug, Subcommand)]
pub enum Users {
    /// List users
    List {
        /// Most users to list
        #[arg(long, default_value_t = 1000)]
        max: usize,
    },
    /// Make a new one-time setup code: whoever has it makes or repairs an administrator
    ResetCode {
        #[command(flatten)]
        place: Place,
    },
}

impl Users {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the server or the store says no.
    pub async fn run(self, client: impl FnOnce() -> Result<Client>, json: bool) -> Result<u8> {
        match self {
            Users::List { max } => {
                let users = client()?.list::<User>("/users", &[], max).await?.items;
                let head = ["NAME", "ROLE", "LANGUAGE", "SECOND FACTOR", "DISABLED", "LAST LOGIN"];
                Ok(output::list(json, &users, &head, |user| {
                    let mut factors = Vec::new();
                    factors.extend(user.totp.then(|| "authenticator".to_owned()));
                    factors.extend(user.passkeys.iter().map(|name| format!("passkey {name}")));
                    vec![
                        user.name.clone(),
                        user.role.word(),
                        format!("{:?}", user.language).to_lowercase(),
                        factors.join(", "),
                        if user.disabled { "yes" } else { "no" }.to_owned(),
                        user.last_login.map(|at| at.to_string()).unwrap_or_default(),
                    ]
                }))
            }
            Users::ResetCode { place } => {
                let (config, data) = place.config()?;
                let store = open_store(&config, &data).await?;
                let code = offline::reset_code(&store).await?;
                if json {
                    output::json(&serde_json::json!({ "code": code }))
                } else {
                    line(&code)
                }
                Ok(exit::DONE)
            }
        }
    }
}

/// Verbs of API tokens.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make an API token on the server itself; prints the secret once
    Create {
        /// What it is for
        name: String,
        /// viewer, auditor, responder or administrator
        #[arg(long, default_value = "viewer")]
        role: String,
        /// Days until it ends, 1 to 365
        #[arg(long, default_value_t = 90)]
        days: i64,
        #[command(flatten)]
        place: Place,
    },
}

impl Token {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the store says no.
    pub async fn run(self, json: bool) -> Result<u8> {
        let Token::Create { name, role, days, place } = self;
        let role: Role = role.parse()?;
        if !(1..=365).contains(&days) || name.trim().is_empty() || name.chars().count() > 100 {
            bail!("a token has a name of 1 to 100 characters and lives 1 to 365 days");
        }
        let (config, data) = place.config()?;
        let store = open_store(&config, &data).await?;
        let (row, secret) = offline::create_api_token(&store, name.trim(), role, days).await?;
        if json {
            let answer = serde_json::json!({
                "id": row.id, "name": row.name, "role": row.role, "expires_at": row.expires_at, "secret": secret,
            });
            output::json(&answer);
        } else {
            line(&secret);
        }
        Ok(exit::DONE)
    }
}

/// Verbs of enrolment tokens.
#[derive(Debug, Subcommand)]
pub enum EnrolmentToken {
    /// Make a one-time enrolment token on the server itself; prints the line for the endpoint
    Create {
        /// What it is for
        #[arg(long, default_value = "")]
        note: String,
        /// Hours until it ends, 1 to 720
        #[arg(long, default_value_t = 24)]
        hours: i64,
        #[command(flatten)]
        place: Place,
    },
}

impl EnrolmentToken {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the store says no.
    pub async fn run(self, json: bool) -> Result<u8> {
        let EnrolmentToken::Create { note, hours, place } = self;
        if !(1..=720).contains(&hours) || note.chars().count() > 200 {
            bail!("an enrolment token has a note of at most 200 characters and lives 1 to 720 hours");
        }
        let (config, data) = place.config()?;
        let store = open_store(&config, &data).await?;
        let keys = open_keys(&config, &data)?;
        let (row, token) =
            offline::create_enrolment_token(&store, &keys, &config.sensor_url(config.listen.sensors), &note, hours)
                .await?;
        if json {
            output::json(&serde_json::json!({ "id": row.id, "expires_at": row.expires_at, "line": token }));
        } else {
            line(&token);
        }
        Ok(exit::DONE)
    }
}
