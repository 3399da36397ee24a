//! Events as Arrow batches and back.

use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BooleanBuilder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use hinomi_model::{Event, Kind, Table, Timestamp, Value};
use std::sync::{Arc, LazyLock};

const UTC: &str = "UTC";

static SCHEMAS: LazyLock<Vec<SchemaRef>> = LazyLock::new(|| Table::ALL.iter().map(|table| build(*table)).collect());

/// Returns the Arrow schema of a table: its columns in order, all but `Timestamp` nullable.
pub(crate) fn schema_of(table: Table) -> SchemaRef {
    let at = Table::ALL.iter().position(|known| *known == table).expect("ALL lists every table");
    SCHEMAS[at].clone()
}

fn build(table: Table) -> SchemaRef {
    let fields = table.columns().iter().map(|column| {
        let kind = match column.kind {
            Kind::String => DataType::Utf8,
            Kind::Long => DataType::Int64,
            Kind::Datetime => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Kind::Bool => DataType::Boolean,
        };
        Field::new(column.name, kind, column.name != "Timestamp")
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Returns the columns a table's files are sorted by.
pub(crate) fn sort_columns(table: Table) -> (&'static str, &'static str) {
    let first = ["DeviceId", "NetworkMessageId", "AlertId"];
    let first = first.into_iter().find(|name| table.column_index(name).is_some());
    (first.expect("every table has a device, message or alert"), "Timestamp")
}

enum Builder {
    Text(StringBuilder),
    Long(Int64Builder),
    Time(TimestampMicrosecondBuilder),
    Bool(BooleanBuilder),
}

impl Builder {
    fn new(kind: Kind, rows: usize) -> Builder {
        match kind {
            Kind::String => Builder::Text(StringBuilder::with_capacity(rows, rows * 8)),
            Kind::Long => Builder::Long(Int64Builder::with_capacity(rows)),
            Kind::Datetime => Builder::Time(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone(UTC)),
            Kind::Bool => Builder::Bool(BooleanBuilder::with_capacity(rows)),
        }
    }

    fn append(&mut self, value: Option<&Value>) {
        match (self, value) {
            (Builder::Text(builder), Some(Value::String(text))) => builder.append_value(text),
            (Builder::Long(builder), Some(Value::Long(number))) => builder.append_value(*number),
            (Builder::Time(builder), Some(Value::Datetime(at))) => builder.append_value(at.as_micros()),
            (Builder::Bool(builder), Some(Value::Bool(truth))) => builder.append_value(*truth),
            // an event cannot hold a value of another type than its column
            (Builder::Text(builder), _) => builder.append_null(),
            (Builder::Long(builder), _) => builder.append_null(),
            (Builder::Time(builder), _) => builder.append_null(),
            (Builder::Bool(builder), _) => builder.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Builder::Text(mut builder) => ArrayBuilder::finish(&mut builder),
            Builder::Long(mut builder) => ArrayBuilder::finish(&mut builder),
            Builder::Time(mut builder) => ArrayBuilder::finish(&mut builder),
            Builder::Bool(mut builder) => ArrayBuilder::finish(&mut builder),
        }
    }
}

/// Builds one batch of the events, which must all be of `table`.
pub(crate) fn to_batch(table: Table, events: &[&Event]) -> RecordBatch {
    let columns = table.columns();
    let mut builders: Vec<Builder> = columns.iter().map(|column| Builder::new(column.kind, events.len())).collect();
    for event in events {
        let mut cells = event.cells().peekable();
        builders[0].append(Some(&Value::Datetime(event.timestamp)));
        for (at, builder) in builders.iter_mut().enumerate().skip(1) {
            let value = cells.next_if(|(index, _)| usize::from(*index) == at).map(|(_, value)| value);
            builder.append(value);
        }
    }
    let arrays = builders.into_iter().map(Builder::finish).collect();
    RecordBatch::try_new(schema_of(table), arrays).expect("builders follow the schema")
}

/// Reads the rows of a batch that has columns of `table`, `Timestamp` first.
pub(crate) fn to_events(table: Table, batch: &RecordBatch) -> Vec<Event> {
    let schema = batch.schema();
    let columns = schema.fields().iter().map(|field| {
        let index = table.column_index(field.name()).expect("batches hold columns of their table");
        &table.columns()[usize::from(index)]
    });
    let mut events: Vec<Event> = Vec::with_capacity(batch.num_rows());
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    for row in 0..batch.num_rows() {
        events.push(Event::new(table, Timestamp::from_micros(times.value(row))));
    }
    for (column, array) in columns.zip(batch.columns()).skip(1) {
        if array.null_count() == array.len() {
            continue;
        }
        for (row, event) in events.iter_mut().enumerate().filter(|(row, _)| array.is_valid(*row)) {
            let value = match column.kind {
                Kind::String => Value::String(array.as_string::<i32>().value(row).to_owned()),
                Kind::Long => Value::Long(array.as_primitive::<Int64Type>().value(row)),
                Kind::Datetime => {
                    let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
                    Value::Datetime(Timestamp::from_micros(micros))
                }
                Kind::Bool => Value::Bool(array.as_boolean().value(row)),
            };
            event.try_set(column.name, value);
        }
    }
    events
}
