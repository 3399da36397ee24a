//! From happening to spool: judge every event, write in groups, one fsync per group.

use crate::device::Device;
use crate::judge::{Finding, Judge};
use crate::link::LinkState;
use crate::prevent::Denied;
use crate::spool::SpoolError;
use hinomi_model::Event;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Events between collector and pipeline. About 2 KiB each.
pub const QUEUE: usize = 8_192;
/// A group is written when it has this many events…
const GROUP_EVENTS: usize = 1_000;
/// …or when its first event is this old.
const GROUP_WAIT: Duration = Duration::from_millis(100);
/// Findings waiting to be acted on.
const FINDINGS: usize = 1_024;

/// Asks for everything received so far to be written; answered when it is.
pub type Flush = oneshot::Sender<()>;

/// Runs until the collector's queue ends.
pub async fn run(
    device: Arc<Device>,
    judge: Arc<Judge>,
    link: Arc<LinkState>,
    mut events: mpsc::Receiver<Event>,
    denied: mpsc::Receiver<Denied>,
    mut flushes: mpsc::Receiver<Flush>,
    full_wait: Duration,
) {
    let (findings, to_act) = mpsc::channel(FINDINGS);
    let (own, mut own_events) = mpsc::channel(FINDINGS);
    tokio::spawn(act(judge.clone(), to_act, own.clone()));
    tokio::spawn(report(judge.clone(), denied, own));
    let mut group = Vec::with_capacity(GROUP_EVENTS);
    loop {
        let mut due = None;
        let mut flush: Option<Flush> = None;
        while group.len() < GROUP_EVENTS {
            let from = group.len();
            tokio::select! {
                received = events.recv_many(&mut group, GROUP_EVENTS) => {
                    if received == 0 && group.is_empty() {
                        return;
                    }
                    for event in &group[from..] {
                        for finding in judge.look(event) {
                            if findings.try_send(finding).is_err() {
                                device.drops.add("response_queue", 1);
                            }
                        }
                    }
                    if received == 0 {
                        break;
                    }
                }
                Some(event) = own_events.recv() => group.push(event),
                Some(asked) = flushes.recv() => {
                    flush = Some(asked);
                    while let Ok(event) = events.try_recv() {
                        group.push(event);
                    }
                    break;
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => break,
            }
            due.get_or_insert_with(|| tokio::time::Instant::now() + GROUP_WAIT);
        }
        group = write(&device, &link, group, full_wait).await;
        group.clear();
        if let Some(flush) = flush {
            let _ = flush.send(());
        }
    }
}

/// Writes a group; holds the collector back while the spool is full and the server takes events,
/// then drops the group, counted.
async fn write(device: &Arc<Device>, link: &LinkState, mut group: Vec<Event>, full_wait: Duration) -> Vec<Event> {
    let began = Instant::now();
    loop {
        let spool = device.spool.clone();
        let written = tokio::task::spawn_blocking(move || {
            let result = spool.append(&mut group);
            (group, result)
        });
        let Ok((back, result)) = written.await else {
            device.drops.add("spool_panic", 1);
            return Vec::new();
        };
        group = back;
        let reason = match result {
            Ok(_) => return group,
            Err(SpoolError::Full { .. }) if link.online() && began.elapsed() < full_wait => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(SpoolError::Full { .. }) => "spool_full",
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "events cannot be spooled");
                "spool_error"
            }
        };
        device.drops.add(reason, group.len() as u64);
        return group;
    }
}

async fn act(judge: Arc<Judge>, mut findings: mpsc::Receiver<Finding>, own: mpsc::Sender<Event>) {
    while let Some(finding) = findings.recv().await {
        let judge = judge.clone();
        if let Ok(Some(event)) = tokio::task::spawn_blocking(move || judge.act(&finding)).await {
            let _ = own.send(event).await;
        }
    }
}

async fn report(judge: Arc<Judge>, mut denied: mpsc::Receiver<Denied>, own: mpsc::Sender<Event>) {
    while let Some(denied) = denied.recv().await {
        let judge = judge.clone();
        if let Ok(event) = tokio::task::spawn_blocking(move || judge.denied(&denied)).await {
            let _ = own.send(event).await;
        }
    }
}
