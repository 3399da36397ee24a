//! Live events for open consoles: what changed, with a replay ring for `Last-Event-ID`.

use hinomi_api::Progress;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Events kept for replay (design/console.md §5).
const RING_MAX: usize = 10_000;
/// Events a slow client may lag behind before it has to reload.
const CHANNEL_MAX: usize = 1_024;

/// Something changed; the client re-reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveEvent {
    /// Name of the SSE event (`incident.updated`, `alert.created`, …).
    #[serde(skip)]
    pub event: &'static str,
    /// Id of what changed.
    pub id: String,
    /// Its version now.
    pub version: i64,
    /// Its short number, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// How far it has come, when it is an action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// An event with its id.
pub type Numbered = (u64, LiveEvent);

/// The bus. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    ring: Arc<Mutex<Ring>>,
    sender: broadcast::Sender<Numbered>,
}

struct Ring {
    next: u64,
    events: VecDeque<Numbered>,
}

impl Default for Live {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(CHANNEL_MAX);
        Live { ring: Arc::new(Mutex::new(Ring { next: 1, events: VecDeque::new() })), sender }
    }
}

impl Live {
    /// Tells every open console.
    pub fn send(&self, event: LiveEvent) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let id = ring.next;
        ring.next += 1;
        if ring.events.len() == RING_MAX {
            ring.events.pop_front();
        }
        ring.events.push_back((id, event.clone()));
        // no receiver is no error: nobody has a console open
        let _ = self.sender.send((id, event));
    }

    /// Subscribes; events after `last_id` that are still in the ring come first. The flag is false
    /// when some of them are gone: the client must reload everything.
    pub fn subscribe(&self, last_id: Option<u64>) -> (Vec<Numbered>, bool, broadcast::Receiver<Numbered>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        let Some(last) = last_id else { return (Vec::new(), true, receiver) };
        // an id we never gave out (the server restarted) means we cannot know what was missed
        let complete = last < ring.next && ring.events.front().is_none_or(|(first, _)| *first <= last + 1);
        (ring.events.iter().filter(|(id, _)| *id > last).cloned().collect(), complete, receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: i64) -> LiveEvent {
        LiveEvent { event: "incident.updated", id: n.to_string(), version: n, number: None, progress: None }
    }

    #[test]
    fn replay_starts_after_the_last_id() {
        let live = Live::default();
        (0..5).for_each(|n| live.send(event(n)));
        let (missed, complete, _) = live.subscribe(Some(3));
        assert_eq!(missed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [4, 5]);
        assert!(complete);
        assert!(!live.subscribe(Some(99)).1, "an id of another life");
        (0..RING_MAX as i64).for_each(|n| live.send(event(n)));
        assert!(!live.subscribe(Some(3)).1, "fell out of the ring");
    }
}
