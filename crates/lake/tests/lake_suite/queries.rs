//! What queries find.

use crate::common::*;
use hinomi_lake::*;
use hinomi_model::*;
use proptest::prelude::*;

/// Half of the events in files, half in the tail.
async fn filled(root: &std::path::Path) -> Lake {
    let lake = open(root, vec![]).await;
    for round in 0..4_i64 {
        let events = (0..100).map(|number| {
            let id = round * 100 + number;
            process((id % 4) as u64, id, id)
        });
        lake.append(round as u64 + 1, events.collect());
        if round < 2 {
            publish(&lake).await;
        }
    }
    let mut mail = Event::new(Table::EmailEvents, at(50));
    mail.set("NetworkMessageId", "m1").set("Subject", "請求書").set("ReportId", "mail-1");
    lake.append(5, vec![mail]);
    lake
}

fn ids(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.long("ReportId").unwrap_or(-1)).collect()
}

#[tokio::test]
async fn conditions_order_and_limits() {
    let folder = tempfile::tempdir().unwrap();
    let lake = filled(folder.path()).await;
    let base = LakeQuery::of(Table::DeviceProcessEvents);
    let with = |column: &str, op: Op| LakeQuery {
        predicates: vec![Predicate { column: column.to_owned(), op }],
        ..base.clone()
    };
    let found = |query: LakeQuery| {
        let lake = lake.clone();
        async move { ids(&lake.query(query).await.unwrap()) }
    };

    let newest = LakeQuery { limit: 3, ..base.clone() };
    assert_eq!(found(newest).await, [399, 398, 397]);
    let oldest = LakeQuery { limit: 3, newest_first: false, ..base.clone() };
    assert_eq!(found(oldest).await, [0, 1, 2]);
    let span = LakeQuery { from: at(198), to: at(202), device: Some(device(2)), ..base.clone() };
    assert_eq!(found(span).await, [198]);
    assert_eq!(found(LakeQuery { limit: 0, ..base.clone() }).await, [0; 0]);

    let hash = |id: i64| Value::from(format!("{id:064x}"));
    assert_eq!(found(with("SHA256", Op::Eq(hash(42)))).await, [42]);
    assert_eq!(found(with("SHA256", Op::In(vec![hash(3), hash(303), hash(9999)]))).await, [303, 3]);
    assert_eq!(found(with("SHA256", Op::In(vec![]))).await, [0; 0]);
    assert_eq!(found(with("ProcessId", Op::In(vec![Value::Long(101), Value::Long(499)]))).await, [399, 1]);
    assert_eq!(found(with("ProcessCreationTime", Op::Eq(Value::Datetime(at(9))))).await, [10]);
    assert_eq!(found(with("ProcessCommandLine", Op::Contains("--number 399".to_owned()))).await, [399]);
    assert_eq!(found(with("ProcessCommandLine", Op::Contains("100%_DONE".to_owned()))).await.len(), 400);
    for nothing in ["100%done", "100__done", "\\", "' OR 1=1"] {
        assert_eq!(found(with("ProcessCommandLine", Op::Contains(nothing.to_owned()))).await, [0; 0], "{nothing}");
    }
    assert_eq!(found(with("AccountName", Op::Contains(String::new()))).await, [0; 0], "not set");

    // several tables, and a condition only one of them has
    let both = LakeQuery { tables: vec![Table::EmailEvents, Table::DeviceProcessEvents], ..base.clone() };
    assert_eq!(found(LakeQuery { from: at(50), to: at(51), ..both.clone() }).await, [-1, 50]);
    let predicates = vec![Predicate { column: "Subject".to_owned(), op: Op::Contains("請求".to_owned()) }];
    assert_eq!(found(LakeQuery { predicates, ..both.clone() }).await, [-1]);
    assert_eq!(found(LakeQuery { device: Some(device(1)), limit: 1, ..both }).await, [397]);

    for bad in [
        with("Nonsense", Op::Eq(Value::Long(1))),
        with("SHA256", Op::Eq(Value::Long(1))),
        with("ProcessId", Op::Contains("1".to_owned())),
        with("ProcessId", Op::In(vec![Value::Long(1); 10_001])),
    ] {
        assert!(matches!(lake.query(bad.clone()).await, Err(LakeError::BadQuery(_))), "{bad:?}");
    }
}

fn value_of(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::String => any::<String>().prop_map(Value::String).boxed(),
        Kind::Long => any::<i64>().prop_map(Value::Long).boxed(),
        Kind::Datetime => any::<i64>().prop_map(|micros| Value::Datetime(Timestamp::from_micros(micros))).boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
    }
}

fn any_event() -> BoxedStrategy<Event> {
    let table = prop::sample::select(Table::ALL);
    let set = table.prop_flat_map(|table| {
        let columns = prop::collection::btree_set(1..table.columns().len(), 0..12);
        (Just(table), columns, -1_000_000_000_000_i64..4_000_000_000_000_000)
    });
    set.prop_flat_map(|(table, columns, micros)| {
        let columns: Vec<usize> = columns.into_iter().collect();
        let values: Vec<_> = columns.iter().map(|column| value_of(table.columns()[*column].kind)).collect();
        values.prop_map(move |values| {
            let mut event = Event::new(table, Timestamp::from_micros(micros));
            for (column, value) in columns.iter().zip(values) {
                assert!(event.try_set(table.columns()[*column].name, value));
            }
            event
        })
    })
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever an event holds comes back from memory and from a file as it was.
    #[test]
    fn any_event_comes_back(events in prop::collection::vec(any_event(), 1..12)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let lake = open(folder.path(), vec![]).await;
            lake.append(1, events.clone());
            let text = |event: &Event| serde_json::to_string(event).unwrap();
            let mut expected: Vec<String> = events.iter().map(text).collect();
            expected.sort();
            let tables: std::collections::BTreeSet<Table> = events.iter().map(|event| event.table).collect();
            for _ in 0..2 {
                let query = LakeQuery { tables: tables.iter().copied().collect(), ..LakeQuery::of(Table::AlertInfo) };
                let mut found: Vec<String> = lake.query(query).await.unwrap().iter().map(text).collect();
                found.sort();
                assert_eq!(found, expected);
                if lake.tail_rows() > 0 {
                    publish(&lake).await;
                }
            }
        });
    }
}
