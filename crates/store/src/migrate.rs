//! Brings a database to the schema of this version. Released migrations never change.

use crate::db::{Backend, Db, Store};
use crate::error::{Result, StoreError};
use crate::sql::{Cells, Sql, sha256_hex};

/// One step of the schema.
pub(crate) struct Migration {
    /// Date and number, growing.
    pub version: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

pub(crate) const SQLITE: &[Migration] = &[
    Migration { version: 20261122_01, name: "state", sql: include_str!("../migrations/sqlite/20261122_01_state.sql") },
    Migration { version: 20261122_02, name: "mail", sql: include_str!("../migrations/sqlite/20261122_02_mail.sql") },
    Migration {
        version: 20261122_30,
        name: "directory",
        sql: include_str!("../migrations/sqlite/20261122_30_directory.sql"),
    },
    Migration { version: 20261122_40, name: "demos", sql: include_str!("../migrations/sqlite/20261122_40_demos.sql") },
    Migration {
        version: 20261122_45,
        name: "follow_up",
        sql: include_str!("../migrations/sqlite/20261122_45_follow_up.sql"),
    },
    Migration { version: 20261122_50, name: "pivot", sql: include_str!("../migrations/sqlite/20261122_50_pivot.sql") },
    Migration {
        version: 20261122_60,
        name: "indicator_lists",
        sql: include_str!("../migrations/sqlite/20261122_60_indicator_lists.sql"),
    },
    Migration {
        version: 20261122_65,
        name: "weak_signs",
        sql: include_str!("../migrations/sqlite/20261122_65_weak_signs.sql"),
    },
    Migration {
        version: 20261122_70,
        name: "notifications",
        sql: include_str!("../migrations/sqlite/20261122_70_notifications.sql"),
    },
    Migration {
        version: 20261122_72,
        name: "correlations",
        sql: include_str!("../migrations/sqlite/20261122_72_correlations.sql"),
    },
    Migration { version: 20261122_75, name: "rules", sql: include_str!("../migrations/sqlite/20261122_75_rules.sql") },
    Migration {
        version: 20261122_80,
        name: "automation",
        sql: include_str!("../migrations/sqlite/20261122_80_automation.sql"),
    },
    Migration {
        version: 20261122_82,
        name: "indicator_looks",
        sql: include_str!("../migrations/sqlite/20261122_82_indicator_looks.sql"),
    },
    Migration {
        version: 20261122_84,
        name: "tuning",
        sql: include_str!("../migrations/sqlite/20261122_84_tuning.sql"),
    },
];

pub(crate) const POSTGRES: &[Migration] = &[
    Migration {
        version: 20261122_01,
        name: "state",
        sql: include_str!("../migrations/postgres/20261122_01_state.sql"),
    },
    Migration { version: 20261122_02, name: "mail", sql: include_str!("../migrations/postgres/20261122_02_mail.sql") },
    Migration {
        version: 20261122_30,
        name: "directory",
        sql: include_str!("../migrations/postgres/20261122_30_directory.sql"),
    },
    Migration {
        version: 20261122_40,
        name: "demos",
        sql: include_str!("../migrations/postgres/20261122_40_demos.sql"),
    },
    Migration {
        version: 20261122_45,
        name: "follow_up",
        sql: include_str!("../migrations/postgres/20261122_45_follow_up.sql"),
    },
    Migration {
        version: 20261122_50,
        name: "pivot",
        sql: include_str!("../migrations/postgres/20261122_50_pivot.sql"),
    },
    Migration {
        version: 20261122_60,
        name: "indicator_lists",
        sql: include_str!("../migrations/postgres/20261122_60_indicator_lists.sql"),
    },
    Migration {
        version: 20261122_65,
        name: "weak_signs",
        sql: include_str!("../migrations/postgres/20261122_65_weak_signs.sql"),
    },
    Migration {
        version: 20261122_70,
        name: "notifications",
        sql: include_str!("../migrations/postgres/20261122_70_notifications.sql"),
    },
    Migration {
        version: 20261122_72,
        name: "correlations",
        sql: include_str!("../migrations/postgres/20261122_72_correlations.sql"),
    },
    Migration {
        version: 20261122_75,
        name: "rules",
        sql: include_str!("../migrations/postgres/20261122_75_rules.sql"),
    },
    Migration {
        version: 20261122_80,
        name: "automation",
        sql: include_str!("../migrations/postgres/20261122_80_automation.sql"),
    },
    Migration {
        version: 20261122_82,
        name: "indicator_looks",
        sql: include_str!("../migrations/postgres/20261122_82_indicator_looks.sql"),
    },
    Migration {
        version: 20261122_84,
        name: "tuning",
        sql: include_str!("../migrations/postgres/20261122_84_tuning.sql"),
    },
];

/// A number of our own for PostgreSQL's advisory lock: two servers starting at once take turns.
const LOCK: i64 = 0x4849_4e4f_4d49;

/// Applies what is missing, all in one transaction.
pub(crate) async fn run(store: &Store, migrations: &[Migration]) -> Result<()> {
    let mut tx = store.begin().await?;
    let mut db = tx.db();
    if db.backend == Backend::Postgres {
        Sql::new("SELECT pg_advisory_xact_lock($1)").bind(LOCK).run(&mut db).await?;
    }
    create_table(&mut db).await?;
    let applied = Sql::new("SELECT version, sha256 FROM schema_migrations ORDER BY version").rows(&mut db).await?;
    for row in &applied {
        let version = row.int("version")?;
        let known = migrations.iter().find(|migration| migration.version == version);
        let known = known.ok_or_else(|| {
            StoreError::Schema(format!("migration {version} is unknown here, the database belongs to a newer version"))
        })?;
        if row.text("sha256")? != sha256_hex(known.sql.as_bytes()) {
            return Err(StoreError::Schema(format!("migration {version} was another one when it was applied")));
        }
    }
    for migration in &migrations[applied.len()..] {
        sqlx::raw_sql(migration.sql).execute(&mut *db.conn).await?;
        Sql::new("INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)")
            .bind(migration.version)
            .bind(migration.name)
            .bind(sha256_hex(migration.sql.as_bytes()))
            .run(&mut db)
            .await?;
        tracing::info!(migration.version, "store: applied migration {} {}", migration.version, migration.name);
    }
    tx.commit().await
}

async fn create_table(db: &mut Db<'_>) -> Result<()> {
    Sql::new(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL, \
         sha256 TEXT NOT NULL)",
    )
    .run(db)
    .await?;
    Ok(())
}
