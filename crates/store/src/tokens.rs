//! API tokens.

use crate::db::{Db, Key, Listed, Listing, Page, list};
use crate::error::Result;
use crate::sql::{Arg, Cells, Filter, Sql};
use hinomi_model::{Role, Timestamp, TokenId};
use sqlx::any::AnyRow;

/// An API token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTokenRow {
    /// Id.
    pub id: TokenId,
    /// SHA-256 of the secret, lower-case hex.
    pub secret_sha256: String,
    /// Name people gave it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// End; none = never.
    pub expires_at: Option<Timestamp>,
    /// Last use.
    pub last_used: Option<Timestamp>,
}

reads! {
    /// Returns the token with that secret, if it has not ended.
    fn api_token_by_secret(secret_sha256: &str, now: Timestamp) -> Option<ApiTokenRow>;
    /// Lists API tokens, newest first.
    fn api_tokens(page: &Page) -> Listed<ApiTokenRow>;
}

writes! {
    /// Adds an API token.
    fn add_api_token(token: &ApiTokenRow) -> ();
    /// Notes a use.
    fn touch_api_token(id: TokenId, now: Timestamp) -> ();
    /// Removes an API token; false when there is none.
    fn delete_api_token(id: TokenId) -> bool;
}

async fn add_api_token(db: &mut Db<'_>, token: &ApiTokenRow) -> Result<()> {
    Sql::new(
        "INSERT INTO api_tokens (id, secret_sha256, name, role, created_by, created_at, expires_at, last_used) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(Arg::id(token.id))
    .bind(&token.secret_sha256)
    .bind(&token.name)
    .bind(Arg::word(token.role))
    .bind(&token.created_by)
    .bind(token.created_at)
    .bind(token.expires_at)
    .bind(token.last_used)
    .run(db)
    .await?;
    Ok(())
}

async fn api_token_by_secret(db: &mut Db<'_>, secret_sha256: &str, now: Timestamp) -> Result<Option<ApiTokenRow>> {
    let row = Sql::new("SELECT * FROM api_tokens WHERE secret_sha256 = $1 AND (expires_at IS NULL OR expires_at > $2)")
        .bind(secret_sha256)
        .bind(now)
        .row(db)
        .await?;
    row.map(|row| read(&row)).transpose()
}

async fn api_tokens(db: &mut Db<'_>, page: &Page) -> Result<Listed<ApiTokenRow>> {
    const LISTING: Listing = Listing {
        select: "id, secret_sha256, name, role, created_by, created_at, expires_at, last_used",
        from: "api_tokens",
        order: &[Key::Int("created_at"), Key::Text("id")],
        descending: true,
    };
    list(db, &LISTING, &Filter::new(), page, read).await
}

async fn touch_api_token(db: &mut Db<'_>, id: TokenId, now: Timestamp) -> Result<()> {
    Sql::new("UPDATE api_tokens SET last_used = $1 WHERE id = $2").bind(now).bind(Arg::id(id)).run(db).await?;
    Ok(())
}

async fn delete_api_token(db: &mut Db<'_>, id: TokenId) -> Result<bool> {
    Ok(Sql::new("DELETE FROM api_tokens WHERE id = $1").bind(Arg::id(id)).run(db).await? > 0)
}

fn read(row: &AnyRow) -> Result<ApiTokenRow> {
    Ok(ApiTokenRow {
        id: row.parsed("id")?,
        secret_sha256: row.text("secret_sha256")?,
        name: row.text("name")?,
        role: row.parsed("role")?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time_or_null("expires_at")?,
        last_used: row.time_or_null("last_used")?,
    })
}
