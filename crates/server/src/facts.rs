//! Facts from the lake (the events of a process tree) and from the directory (whose accounts and
//! mailboxes an incident involves).

use crate::app::Ctx;
use anyhow::{Context, Result};
use hinomi_cases::descendants;
use hinomi_lake::{LakeQuery, Op, Predicate};
use hinomi_model::{DeviceId, EntityKey, Event, Incident, InvolvedPerson, ProcessKey, Table, Timestamp, Value};
use hinomi_store::{Store, StoreError};

/// Process events read to find a tree.
const PROCESS_EVENTS_MAX: usize = 20_000;
/// Events read per table of a tree.
const TREE_EVENTS_MAX: usize = 5_000;
/// Events read to find files written at one time.
const FILE_EVENTS_MAX: usize = 2_000;
/// Logons read of one device.
const LOGON_EVENTS_MAX: usize = 5_000;
/// Processes of one tree whose files and connections are read.
const TREE_PROCESSES_MAX: usize = 1_000;

/// Which events are wanted.
pub(crate) struct Wanted {
    tables: Vec<Table>,
    device: DeviceId,
    from: Timestamp,
    to: Timestamp,
    /// Column and the process ids it must hold.
    pids: Option<(&'static str, Vec<i64>)>,
    limit: usize,
}

impl Wanted {
    /// The events that created a process.
    pub(crate) fn creation(key: ProcessKey) -> Wanted {
        Wanted {
            tables: vec![Table::DeviceProcessEvents],
            device: key.device_id,
            from: key.started_at.plus_seconds(-1),
            // exec may follow the fork late; what matters is usually within moments
            to: key.started_at.plus_seconds(3600),
            pids: Some(("ProcessId", vec![key.pid])),
            limit: 20,
        }
    }

    /// The files written on a device between two times.
    pub(crate) fn files(device: DeviceId, from: Timestamp, to: Timestamp) -> Wanted {
        Wanted { tables: vec![Table::DeviceFileEvents], device, from, to, pids: None, limit: FILE_EVENTS_MAX }
    }

    /// Who logged on to a device between two times.
    pub(crate) fn logons(device: DeviceId, from: Timestamp, to: Timestamp) -> Wanted {
        Wanted { tables: vec![Table::DeviceLogonEvents], device, from, to, pids: None, limit: LOGON_EVENTS_MAX }
    }
}

/// Reads events of one device, oldest first.
///
/// # Errors
/// When the lake cannot be read.
pub(crate) async fn events(ctx: &Ctx, wanted: Wanted) -> Result<Vec<Event>> {
    let predicates = wanted
        .pids
        .map(|(column, pids)| Predicate {
            column: column.to_owned(),
            op: Op::In(pids.into_iter().map(Value::Long).collect()),
        })
        .into_iter()
        .collect();
    let query = LakeQuery {
        tables: wanted.tables,
        device: Some(wanted.device),
        from: wanted.from,
        to: wanted.to,
        predicates,
        newest_first: false,
        limit: wanted.limit,
    };
    ctx.lake.query(query).await.context("read events of a device")
}

/// Reads everything a process tree did.
///
/// # Errors
/// When the lake cannot be read.
pub(crate) async fn tree(ctx: &Ctx, root: ProcessKey, from: Timestamp, to: Timestamp) -> Result<Vec<Event>> {
    let wanted = |tables: Vec<Table>, pids, limit| Wanted { tables, device: root.device_id, from, to, pids, limit };
    let processes = events(ctx, wanted(vec![Table::DeviceProcessEvents], None, PROCESS_EVENTS_MAX)).await?;
    let members = descendants(&processes, root);
    let mut found: Vec<Event> =
        processes.into_iter().filter(|event| event.process().is_some_and(|key| members.contains(&key))).collect();
    let pids: Vec<i64> = members.iter().take(TREE_PROCESSES_MAX).map(|key| key.pid).collect();
    for table in [Table::DeviceFileEvents, Table::DeviceNetworkEvents, Table::DeviceEvents] {
        let rows =
            events(ctx, wanted(vec![table], Some(("InitiatingProcessId", pids.clone())), TREE_EVENTS_MAX)).await?;
        let own = |event: &Event| event.initiating_process().is_some_and(|key| members.contains(&key));
        found.extend(rows.into_iter().filter(own));
    }
    // the parents above the root, as far as the lake knows them: context of the story
    let mut key = root;
    for _ in 0..6 {
        let creation = events(ctx, Wanted::creation(key)).await?;
        let parent = creation.iter().filter(|event| event.process() == Some(key)).find_map(Event::initiating_process);
        if key != root {
            found.extend(creation.into_iter().filter(|event| event.process() == Some(key)));
        }
        match parent {
            Some(parent) if parent != key && parent.pid > 1 && parent.started_at <= key.started_at => key = parent,
            _ => break,
        }
    }
    Ok(found)
}

/// Returns whose accounts and mailboxes an incident involves.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn people(store: &Store, incident: &Incident) -> Result<Vec<InvolvedPerson>, StoreError> {
    let accounts = incident.users.iter().map(|user| EntityKey::user(user));
    let mailboxes = incident.mailboxes.iter().map(|mailbox| EntityKey::mailbox(mailbox));
    let keys: Vec<EntityKey> = accounts.chain(mailboxes).collect();
    let people = store.people_of(&keys).await?;
    Ok(people.into_iter().map(|(person, by)| InvolvedPerson { person, by }).collect())
}
