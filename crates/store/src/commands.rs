//! Signed commands to sensors, kept until a receipt or their end.

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::sql::{Arg, Cells, Sql};
use hinomi_model::{ActionId, CommandId, DeviceId, Timestamp};
use sqlx::any::AnyRow;

/// State of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CommandState {
    /// Waits for the receipt of the sensor.
    Open,
    /// The sensor answered.
    Finished,
    /// The sensor did not answer in time.
    Expired,
}

/// A signed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    /// Id.
    pub id: CommandId,
    /// Device it is for.
    pub device_id: DeviceId,
    /// Sequence of the device.
    pub sequence: u64,
    /// The signed bytes.
    pub envelope: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// Action it belongs to.
    pub action_id: Option<ActionId>,
    /// State.
    pub state: CommandState,
    /// When it was ordered.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What the sensor answered, JSON.
    pub result: Option<String>,
}

reads! {
    /// Returns a command.
    fn command(id: CommandId) -> Option<CommandRow>;
    /// Returns the open commands of a device that have not ended, in sequence.
    fn open_commands(device: DeviceId, now: Timestamp) -> Vec<CommandRow>;
    /// Returns the commands of an action.
    fn commands_of_action(action: ActionId) -> Vec<CommandRow>;
}

writes! {
    /// Adds a command.
    fn put_command(command: &CommandRow) -> ();
    /// Returns the next sequence number of a device, from 1; never twice the same.
    fn next_command_sequence(device: DeviceId) -> u64;
    /// Writes down the sensor's answer; false when it was answered before (or is unknown).
    fn finish_command(id: CommandId, result: &str) -> bool;
    /// Ends the open commands whose time is over and returns them.
    fn expire_commands(now: Timestamp) -> Vec<CommandRow>;
}

async fn put_command(db: &mut Db<'_>, command: &CommandRow) -> Result<()> {
    Sql::new(
        "INSERT INTO commands (id, device_id, sequence, envelope, signature, action_id, state, issued_at, expires_at, \
         result) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(Arg::id(command.id))
    .bind(Arg::id(command.device_id))
    .bind(command.sequence as i64)
    .bind(command.envelope.clone())
    .bind(command.signature.clone())
    .bind(Arg::id_or_null(command.action_id))
    .bind(Arg::word(command.state))
    .bind(command.issued_at)
    .bind(command.expires_at)
    .bind(command.result.clone())
    .run(db)
    .await?;
    Ok(())
}

async fn next_command_sequence(db: &mut Db<'_>, device: DeviceId) -> Result<u64> {
    let row = Sql::new(
        "INSERT INTO counters (name, value) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE \
         SET value = counters.value + 1 RETURNING value",
    )
    .bind(format!("command:{device}"))
    .row(db)
    .await?;
    Ok(row.map_or(Ok(1), |row| row.int("value"))? as u64)
}

async fn finish_command(db: &mut Db<'_>, id: CommandId, result: &str) -> Result<bool> {
    // a late answer to a command given up is still the truth
    let changed = Sql::new("UPDATE commands SET state = 'finished', result = $1 WHERE id = $2 AND state <> 'finished'")
        .bind(result)
        .bind(Arg::id(id))
        .run(db)
        .await?;
    Ok(changed > 0)
}

async fn expire_commands(db: &mut Db<'_>, now: Timestamp) -> Result<Vec<CommandRow>> {
    let rows = Sql::new(
        "UPDATE commands SET state = 'expired' WHERE state = 'open' AND expires_at <= $1 \
         RETURNING id, device_id, sequence, envelope, signature, action_id, state, issued_at, expires_at, result",
    )
    .bind(now)
    .rows(db)
    .await?;
    rows.iter().map(read).collect()
}

async fn command(db: &mut Db<'_>, id: CommandId) -> Result<Option<CommandRow>> {
    let row = Sql::new("SELECT * FROM commands WHERE id = $1").bind(Arg::id(id)).row(db).await?;
    row.map(|row| read(&row)).transpose()
}

async fn open_commands(db: &mut Db<'_>, device: DeviceId, now: Timestamp) -> Result<Vec<CommandRow>> {
    let rows = Sql::new(
        "SELECT * FROM commands WHERE device_id = $1 AND state = 'open' AND expires_at > $2 ORDER BY sequence",
    )
    .bind(Arg::id(device))
    .bind(now)
    .rows(db)
    .await?;
    rows.iter().map(read).collect()
}

async fn commands_of_action(db: &mut Db<'_>, action: ActionId) -> Result<Vec<CommandRow>> {
    let rows = Sql::new("SELECT * FROM commands WHERE action_id = $1 ORDER BY device_id, sequence")
        .bind(Arg::id(action))
        .rows(db)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<CommandRow> {
    let state = serde_json::from_value(row.text("state")?.into());
    Ok(CommandRow {
        id: row.parsed("id")?,
        device_id: row.parsed("device_id")?,
        sequence: row.int("sequence")? as u64,
        envelope: row.blob("envelope")?,
        signature: row.blob("signature")?,
        action_id: row.parsed_or_null("action_id")?,
        state: state.map_err(|error| StoreError::damaged("command", error))?,
        issued_at: row.time("issued_at")?,
        expires_at: row.time("expires_at")?,
        result: row.text_or_null("result")?,
    })
}
