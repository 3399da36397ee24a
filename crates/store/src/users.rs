//! Console users with their secrets, which never leave the server.

use crate::db::{Db, Document, Key, Listed, Listing, Page, insert_document, list, read_document, update_document};
use crate::error::Result;
use crate::sql::{Arg, Cells, Filter, Sql};
use hinomi_model::{User, UserId};
use sqlx::any::AnyRow;

/// A user with secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// What people may see.
    pub user: User,
    /// Password hash (argon2, PHC text).
    pub password_hash: String,
    /// Secret of one-time passwords, as the server keeps it.
    pub totp_secret: Option<String>,
    /// Last time step used: a one-time password works once.
    pub totp_last_step: i64,
    /// Registered passkeys, JSON.
    pub passkeys_json: String,
}

impl std::fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UserRecord({})", self.user.name)
    }
}

reads! {
    /// Returns a user.
    fn user(id: UserId) -> Option<UserRecord>;
    /// Returns a user by login name (lower case).
    fn user_by_name(name: &str) -> Option<UserRecord>;
    /// Lists users by name.
    fn users(page: &Page) -> Listed<User>;
    /// Returns how many users there are.
    fn user_count() -> i64;
}

writes! {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`](crate::StoreError::Duplicate) when the name exists.
    fn add_user(record: &UserRecord) -> ();
    /// Replaces a user and the secrets at the expected version; returns it with its new version. The
    /// last one-time password step is not touched, see `use_totp_step`.
    fn update_user(record: &UserRecord, expected: i64) -> UserRecord;
    /// Uses a one-time password step; false when this or a later one was used before.
    fn use_totp_step(id: UserId, step: i64) -> bool;
}

impl Document for User {
    const WHAT: &'static str = "user";
    const TABLE: &'static str = "users";

    fn columns(&self) -> Vec<(&'static str, Arg)> {
        vec![("id", Arg::id(self.id)), ("name", Arg::indexed(&self.name))]
    }

    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
}

async fn user(db: &mut Db<'_>, id: UserId) -> Result<Option<UserRecord>> {
    let row = Sql::new("SELECT * FROM users WHERE id = $1").bind(Arg::id(id)).row(db).await?;
    row.map(|row| read(&row)).transpose()
}

async fn user_by_name(db: &mut Db<'_>, name: &str) -> Result<Option<UserRecord>> {
    let row = Sql::new("SELECT * FROM users WHERE name = $1").bind(Arg::indexed(name)).row(db).await?;
    row.map(|row| read(&row)).transpose()
}

async fn users(db: &mut Db<'_>, page: &Page) -> Result<Listed<User>> {
    const LISTING: Listing =
        Listing { select: "doc, version", from: "users", order: &[Key::Text("name")], descending: false };
    list(db, &LISTING, &Filter::new(), page, read_document).await
}

async fn user_count(db: &mut Db<'_>) -> Result<i64> {
    let row = Sql::new("SELECT count(*) AS total FROM users").row(db).await?;
    row.map_or(Ok(0), |row| row.int("total"))
}

async fn add_user(db: &mut Db<'_>, record: &UserRecord) -> Result<()> {
    let secrets = [
        ("password_hash", Arg::from(&record.password_hash)),
        ("totp_secret", record.totp_secret.clone().into()),
        ("totp_last_step", record.totp_last_step.into()),
        ("passkeys_json", Arg::from(&record.passkeys_json)),
    ];
    insert_document(db, &record.user, &secrets).await
}

async fn update_user(db: &mut Db<'_>, record: &UserRecord, expected: i64) -> Result<UserRecord> {
    let user = update_document(db, &record.user, expected).await?;
    Sql::new("UPDATE users SET password_hash = $1, totp_secret = $2, passkeys_json = $3 WHERE id = $4")
        .bind(&record.password_hash)
        .bind(record.totp_secret.clone())
        .bind(&record.passkeys_json)
        .bind(Arg::id(user.id))
        .run(db)
        .await?;
    Ok(UserRecord { user, ..record.clone() })
}

async fn use_totp_step(db: &mut Db<'_>, id: UserId, step: i64) -> Result<bool> {
    let changed = Sql::new("UPDATE users SET totp_last_step = $1 WHERE id = $2 AND totp_last_step < $3")
        .bind(step)
        .bind(Arg::id(id))
        .bind(step)
        .run(db)
        .await?;
    Ok(changed > 0)
}

fn read(row: &AnyRow) -> Result<UserRecord> {
    Ok(UserRecord {
        user: read_document(row)?,
        password_hash: row.text("password_hash")?,
        totp_secret: row.text_or_null("totp_secret")?,
        totp_last_step: row.int("totp_last_step")?,
        passkeys_json: row.text("passkeys_json")?,
    })
}
