//! What correlation rules have seen so far, by rule. How far that is tells the consumer of the same name.

use crate::db::Db;
use crate::error::Result;
use crate::sql::{Cells, Sql};

reads! {
    /// Returns the saved state of every correlation rule: its key and its document.
    fn correlation_states() -> Vec<(String, String)>;
}

writes! {
    /// Saves the state of a correlation rule; an empty document forgets it.
    fn put_correlation_state(rule: &str, doc: &str) -> ();
}

async fn correlation_states(db: &mut Db<'_>) -> Result<Vec<(String, String)>> {
    let rows = Sql::new("SELECT rule, doc FROM correlation_states ORDER BY rule").rows(db).await?;
    rows.iter().map(|row| Ok((row.text("rule")?, row.text("doc")?))).collect()
}

async fn put_correlation_state(db: &mut Db<'_>, rule: &str, doc: &str) -> Result<()> {
    let sql = match doc.is_empty() {
        true => Sql::new("DELETE FROM correlation_states WHERE rule = $1").bind(rule),
        false => Sql::new(
            "INSERT INTO correlation_states (rule, doc) VALUES ($1, $2) ON CONFLICT (rule) DO UPDATE \
             SET doc = excluded.doc",
        )
        .bind(rule)
        .bind(doc),
    };
    sql.run(db).await?;
    Ok(())
}
