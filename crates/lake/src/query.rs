//! Questions to the lake.

use crate::engine::Engine;
use crate::error::{LakeError, Result};
use crate::files::Held;
use crate::schema::{schema_of, to_events};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::{SortColumn, SortOptions, filter_record_batch, lexsort_to_indices, take_record_batch};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::lit;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use hinomi_model::{DeviceId, Event, Kind, Table, Timestamp, Value};
use std::cmp::Ordering;
use std::sync::Arc;

/// Most rows one query returns.
pub const ROWS_MAX: usize = 100_000;
/// Most values of one [`Op::In`].
const VALUES_MAX: usize = 10_000;

/// Which events are wanted. All conditions must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct LakeQuery {
    /// From these tables. Tables without a column of a condition have no such events.
    pub tables: Vec<Table>,
    /// Of this device.
    pub device: Option<DeviceId>,
    /// At or after.
    pub from: Timestamp,
    /// Before.
    pub to: Timestamp,
    /// Conditions on columns.
    pub predicates: Vec<Predicate>,
    /// Newest first instead of oldest first; with a limit, the newest instead of the oldest.
    pub newest_first: bool,
    /// At most so many, and never more than [`ROWS_MAX`].
    pub limit: usize,
}

impl LakeQuery {
    /// Asks for every event of a table, newest first.
    pub fn of(table: Table) -> LakeQuery {
        LakeQuery {
            tables: vec![table],
            device: None,
            from: Timestamp::from_micros(i64::MIN),
            to: Timestamp::from_micros(i64::MAX),
            predicates: Vec::new(),
            newest_first: true,
            limit: ROWS_MAX,
        }
    }

    /// Most rows of the answer.
    fn rows(&self) -> usize {
        self.limit.min(ROWS_MAX)
    }
}

/// A condition on a column. A column that is not set fulfils none.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    /// Column of the hunting tables.
    pub column: String,
    /// What it must be.
    pub op: Op,
}

/// What a column must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// This value, texts in this case.
    Eq(Value),
    /// One of these values, texts in this case.
    In(Vec<Value>),
    /// A text with this in it, in any case.
    Contains(String),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The events.
    pub events: Vec<Event>,
    /// Files that could not be read and why; when there are any, events may be missing.
    pub damaged: Vec<(String, String)>,
}

/// Where to look: files in use and batches of the tail, of one table.
pub(crate) struct Sources {
    pub table: Table,
    pub files: Vec<Arc<Held>>,
    pub tail: Vec<RecordBatch>,
}

/// Returns the condition for a table, `None` when the table cannot have such events.
pub(crate) fn condition(query: &LakeQuery, table: Table) -> Result<Option<Expr>> {
    let time = |at: Timestamp| lit(ScalarValue::TimestampMicrosecond(Some(at.as_micros()), Some("UTC".into())));
    let timestamp = ident("Timestamp");
    let mut all = timestamp.clone().gt_eq(time(query.from)).and(timestamp.lt(time(query.to)));
    if let Some(device) = query.device {
        if table.column_index("DeviceId").is_none() {
            return Ok(None);
        }
        all = all.and(ident("DeviceId").eq(lit(device.to_string())));
    }
    for predicate in &query.predicates {
        let Some(index) = table.column_index(&predicate.column) else { return Ok(None) };
        all = all.and(expression(predicate, table.columns()[usize::from(index)].kind)?);
    }
    Ok(Some(all))
}

/// Refuses conditions on columns none of the tables has.
pub(crate) fn check(query: &LakeQuery) -> Result<()> {
    for predicate in &query.predicates {
        let known = query.tables.iter().any(|table| table.column_index(&predicate.column).is_some());
        if !known && !query.tables.is_empty() {
            return Err(LakeError::BadQuery(format!("no table has a column {:?}", predicate.column)));
        }
    }
    Ok(())
}

fn expression(predicate: &Predicate, kind: Kind) -> Result<Expr> {
    let column = ident(predicate.column.as_str());
    let literal = |value: &Value| match value {
        _ if value.kind() != kind => Err(LakeError::BadQuery(format!("{} is not of type {kind:?}", predicate.column))),
        Value::String(text) => Ok(lit(text.as_str())),
        Value::Long(number) => Ok(lit(*number)),
        Value::Bool(truth) => Ok(lit(*truth)),
        Value::Datetime(at) => Ok(lit(ScalarValue::TimestampMicrosecond(Some(at.as_micros()), Some("UTC".into())))),
    };
    match &predicate.op {
        Op::Eq(value) => Ok(column.eq(literal(value)?)),
        Op::In(values) if values.len() > VALUES_MAX => {
            Err(LakeError::BadQuery(format!("{} has more than {VALUES_MAX} values", predicate.column)))
        }
        Op::In(values) => Ok(column.in_list(values.iter().map(literal).collect::<Result<_>>()?, false)),
        Op::Contains(_) if kind != Kind::String => {
            Err(LakeError::BadQuery(format!("{} is not a text", predicate.column)))
        }
        Op::Contains(text) => Ok(column.ilike(lit(like(text)))),
    }
}

/// A LIKE pattern that finds `text` anywhere, its wildcards taken literally.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// Runs the query over the sources of one table.
///
/// The tail is looked through here, with the engine's own expressions: planning a query costs the engine
/// more than the tail's rows do, and investigations ask for hundreds of small answers.
pub(crate) async fn run(engine: &Engine, query: &LakeQuery, sources: Sources) -> Result<Vec<Event>> {
    let Some(condition) = condition(query, sources.table)? else { return Ok(Vec::new()) };
    let late = in_tail(engine, query, sources.table, &condition, &sources.tail)?;
    let mut events = Vec::new();
    if !sources.files.is_empty() {
        let rows = engine.rows(sources.table, &sources.files)?.filter(condition)?;
        let order = order_columns(sources.table).map(|column| ident(column).sort(!query.newest_first, true));
        let rows = rows.sort(order.collect())?.limit(0, Some(query.rows()))?;
        for batch in rows.collect().await? {
            debug_assert_eq!(batch.num_columns(), schema_of(sources.table).fields().len());
            events.extend(to_events(sources.table, &batch));
        }
    }
    // stable: rows alike in both stay in the order they came
    events.extend(late);
    events.sort_by(|one, other| match query.newest_first {
        false => one.timestamp.cmp(&other.timestamp).then_with(|| by_report(one, other)),
        true => other.timestamp.cmp(&one.timestamp).then_with(|| by_report(other, one)),
    });
    events.truncate(query.rows());
    Ok(events)
}

/// The columns events of a table are ordered by.
fn order_columns(table: Table) -> impl Iterator<Item = &'static str> {
    ["Timestamp", "ReportId"].into_iter().filter(move |column| table.column_index(column).is_some())
}

fn by_report(one: &Event, other: &Event) -> Ordering {
    match (one.get("ReportId"), other.get("ReportId")) {
        (Some(Value::Long(one)), Some(Value::Long(other))) => one.cmp(other),
        (Some(Value::String(one)), Some(Value::String(other))) => one.cmp(other),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

/// Returns the rows of the tail that fulfil the condition: of each batch the first in the order asked for.
fn in_tail(
    engine: &Engine,
    query: &LakeQuery,
    table: Table,
    condition: &Expr,
    tail: &[RecordBatch],
) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    let options = SortOptions { descending: query.newest_first, nulls_first: true };
    for found in matching(engine, table, condition, tail)? {
        let columns = order_columns(table).filter_map(|column| found.column_by_name(column));
        let columns: Vec<SortColumn> =
            columns.map(|values| SortColumn { values: values.clone(), options: Some(options) }).collect();
        let order = lexsort_to_indices(&columns, Some(query.rows())).map_err(DataFusionError::from)?;
        let found = take_record_batch(&found, &order).map_err(DataFusionError::from)?;
        events.extend(to_events(table, &found));
    }
    Ok(events)
}

/// Returns the rows of each batch that fulfil the condition; batches without any are left out.
fn matching(engine: &Engine, table: Table, condition: &Expr, tail: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
    let mut found = Vec::new();
    if tail.is_empty() {
        return Ok(found);
    }
    let condition = engine.expression(table, condition.clone())?;
    for batch in tail {
        let truth = condition.evaluate(batch)?.into_array(batch.num_rows())?;
        let truth = truth.as_boolean();
        if truth.true_count() > 0 {
            found.push(filter_record_batch(batch, truth).map_err(DataFusionError::from)?);
        }
    }
    Ok(found)
}

/// Gives the rows of one table to `take` batch by batch, in no order, with these columns of theirs and
/// `Timestamp`; ends early when it says so.
pub(crate) async fn scan(
    engine: &Engine,
    query: &LakeQuery,
    columns: &[&str],
    sources: Sources,
    take: &mut (dyn FnMut(Vec<Event>) -> bool + Send),
) -> Result<bool> {
    let table = sources.table;
    let Some(condition) = condition(query, table)? else { return Ok(true) };
    let wanted = columns.iter().filter(|name| **name != "Timestamp" && table.column_index(name).is_some());
    let wanted: Vec<&str> = std::iter::once(&"Timestamp").chain(wanted).copied().collect();
    let places: Vec<usize> = wanted.iter().filter_map(|name| table.column_index(name)).map(usize::from).collect();
    for batch in matching(engine, table, &condition, &sources.tail)? {
        let batch = batch.project(&places).map_err(DataFusionError::from)?;
        if !take(to_events(table, &batch)) {
            return Ok(false);
        }
        tokio::task::yield_now().await;
    }
    if sources.files.is_empty() {
        return Ok(true);
    }
    let wanted: Vec<Expr> = wanted.into_iter().map(ident).collect();
    let rows = engine.rows(table, &sources.files)?.filter(condition)?.select(wanted)?;
    let mut batches = rows.execute_stream().await?;
    while let Some(batch) = batches.next().await {
        if !take(to_events(table, &batch?)) {
            return Ok(false);
        }
        // a long look must not keep others from their turn
        tokio::task::yield_now().await;
    }
    Ok(true)
}

/// Orders the events of several tables and cuts them to the limit.
pub(crate) fn merge(query: &LakeQuery, mut events: Vec<Event>) -> Vec<Event> {
    // stable: within one instant the order of the tables and of ReportId stays
    if query.newest_first {
        events.sort_by_key(|event| std::cmp::Reverse(event.timestamp));
    } else {
        events.sort_by_key(|event| event.timestamp);
    }
    events.truncate(query.rows());
    events
}
