//! What may happen without a person: one document.

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::sql::{Cells, Sql};
use hinomi_model::AutomationPolicy;

/// The one row.
const ID: i64 = 1;

reads! {
    /// Returns the policy; the default one with version 0 until somebody changes it.
    fn automation() -> AutomationPolicy;
}

writes! {
    /// Puts a policy in force in place of the version that is expected; returns it with its new version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another version is in force.
    fn put_automation(policy: &AutomationPolicy, expected: i64) -> AutomationPolicy;
}

async fn automation(db: &mut Db<'_>) -> Result<AutomationPolicy> {
    let row = Sql::new("SELECT doc, version FROM automation_policy WHERE id = $1").bind(ID).row(db).await?;
    let Some(row) = row else { return Ok(AutomationPolicy::default()) };
    let policy: AutomationPolicy =
        serde_json::from_str(&row.text("doc")?).map_err(|error| StoreError::damaged("automation", error))?;
    Ok(AutomationPolicy { version: row.int("version")?, ..policy })
}

async fn put_automation(db: &mut Db<'_>, policy: &AutomationPolicy, expected: i64) -> Result<AutomationPolicy> {
    let policy = AutomationPolicy { version: expected + 1, ..policy.clone() };
    let doc = serde_json::to_string(&policy)
        .map_err(|error| StoreError::Invalid { what: "automation", reason: error.to_string() })?;
    let written = match expected {
        0 => {
            let sql =
                "INSERT INTO automation_policy (id, version, doc) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
            Sql::new(sql).bind(ID).bind(policy.version).bind(&doc).run(db).await?
        }
        _ => {
            let sql = "UPDATE automation_policy SET version = $1, doc = $2 WHERE id = $3 AND version = $4";
            Sql::new(sql).bind(policy.version).bind(&doc).bind(ID).bind(expected).run(db).await?
        }
    };
    if written == 0 {
        let current = automation(db).await?.version;
        return Err(StoreError::Conflict { what: "automation", id: ID.to_string(), current });
    }
    Ok(policy)
}
