//! Leaving a mail system alone that asks for it.

use crate::connector::ConnectorError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// First pause after a failure in a row, doubled with each.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// Longest pause we choose ourselves.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest pause a system may ask for.
const ASKED_MAX: Duration = Duration::from_secs(600);
/// Failures in a row that are taken as one mailbox's own trouble.
const ALONE_MAX: u32 = 3;

/// State all work on one system shares.
#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Waits while the system is to be left alone.
    pub(super) async fn wait(&self) {
        let until = self.state().until;
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Notes how work ended.
    pub(super) fn note(&self, error: Option<&ConnectorError>) {
        let mut state = self.state();
        let passing = match error {
            Some(error) if error.is_passing() => error,
            _ => {
                *state = State::default();
                return;
            }
        };
        state.failures = state.failures.saturating_add(1);
        let own = match state.failures.checked_sub(ALONE_MAX) {
            Some(over) => PAUSE_FIRST.saturating_mul(1 << over.min(10)).min(PAUSE_MAX),
            None => Duration::ZERO,
        };
        let asked = passing.retry_after().unwrap_or_default().min(ASKED_MAX);
        let pause = own.max(asked);
        if !pause.is_zero() {
            let until = Instant::now() + pause;
            state.until = Some(state.until.map_or(until, |known| known.max(until)));
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(retry_after: Option<Duration>) -> ConnectorError {
        ConnectorError::Passing { attempt: "x".to_owned(), retry_after, source: None }
    }

    #[tokio::test]
    async fn one_mailbox_does_not_slow_the_others_a_system_in_trouble_does() {
        let backoff = Backoff::default();
        backoff.note(Some(&passing(None)));
        assert!(backoff.state().until.is_none());
        for _ in 0..4 {
            backoff.note(Some(&passing(None)));
        }
        assert!(backoff.state().until.is_some());
        backoff.note(None);
        assert!(backoff.state().until.is_none());
        backoff.note(Some(&passing(Some(Duration::from_secs(7)))));
        let asked = backoff.state().until.expect("the system asked");
        assert!(asked > Instant::now() + Duration::from_secs(5));
        backoff.note(Some(&ConnectorError::refused("no such user")));
        assert!(backoff.state().until.is_none(), "an answer is a sign of life");
    }
}
