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
/// After so many in a row the system is away: work fails at once instead of waiting, and is tried
/// again when the pause is over.
const AWAY_AFTER: u32 = 6;

/// State all work on one system shares.
#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// When the last failure was counted.
    counted: Option<Instant>,
    until: Option<Instant>,
    /// The system asked for the pause.
    asked: bool,
}

impl Backoff {
    /// Waits while the system is to be left alone.
    ///
    /// # Errors
    /// At once when the system is away.
    pub(super) async fn wait(&self) -> Result<(), ConnectorError> {
        let (until, away) = {
            let state = self.state();
            (state.until, !state.asked && state.failures >= AWAY_AFTER)
        };
        match until.filter(|until| *until > Instant::now()) {
            None => Ok(()),
            Some(_) if away => Err(ConnectorError::refused("the mail server did not answer several times in a row")),
            Some(until) => {
                tokio::time::sleep_until(until).await;
                Ok(())
            }
        }
    }

    /// True when the system did not answer several times in a row.
    pub(super) fn is_away(&self) -> bool {
        let state = self.state();
        !state.asked && state.failures >= AWAY_AFTER
    }

    /// A person who knows better asks: the next work is tried at once, whatever failed before.
    pub(super) fn forget_pause(&self) {
        let mut state = self.state();
        if !state.asked {
            *state = State::default();
        }
    }

    /// Notes how work ended that began at `began`. Work side by side that fails together is one
    /// failure.
    pub(super) fn note(&self, began: Instant, error: Option<&ConnectorError>) {
        let mut state = self.state();
        let passing = match error {
            Some(error) if error.is_passing() => error,
            _ => {
                *state = State::default();
                return;
            }
        };
        let together = state.counted.is_some_and(|counted| began < counted);
        if !together {
            state.failures = state.failures.saturating_add(1);
            state.counted = Some(Instant::now());
        }
        let own = match state.failures.checked_sub(ALONE_MAX) {
            Some(over) => PAUSE_FIRST.saturating_mul(1 << over.min(10)).min(PAUSE_MAX),
            None => Duration::ZERO,
        };
        let asked = passing.retry_after().unwrap_or_default().min(ASKED_MAX);
        let pause = own.max(asked);
        state.asked |= !asked.is_zero();
        let counted_before = together && asked.is_zero();
        if !pause.is_zero() && !counted_before {
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
        let fails = |wait: Option<Duration>| backoff.note(Instant::now(), Some(&passing(wait)));
        fails(None);
        assert!(backoff.state().until.is_none());
        for _ in 0..4 {
            fails(None);
        }
        assert!(backoff.state().until.is_some());
        backoff.note(Instant::now(), None);
        assert!(backoff.state().until.is_none());
        fails(Some(Duration::from_secs(7)));
        let asked = backoff.state().until.expect("the system asked");
        assert!(asked > Instant::now() + Duration::from_secs(5));
        backoff.note(Instant::now(), Some(&ConnectorError::refused("no such user")));
        assert!(backoff.state().until.is_none(), "an answer is a sign of life");
    }

    #[tokio::test]
    async fn what_fails_together_counts_once_and_a_system_that_is_away_fails_at_once() {
        let backoff = Backoff::default();
        for round in 1..=AWAY_AFTER {
            let began = Instant::now();
            for _ in 0..8 {
                backoff.note(began, Some(&passing(None)));
            }
            assert_eq!(backoff.state().failures, round);
        }
        assert!(backoff.state().until.is_some());
        assert!(backoff.wait().await.is_err(), "no waiting for who is away");
        backoff.state().until = Some(Instant::now());
        assert!(backoff.wait().await.is_ok(), "then somebody tries again");
        // who asks for a pause is there
        backoff.note(Instant::now(), Some(&passing(Some(Duration::from_millis(1)))));
        assert!(backoff.state().asked);
        backoff.state().until = Some(Instant::now() + Duration::from_millis(5));
        assert!(backoff.wait().await.is_ok());
    }

    #[tokio::test]
    async fn a_person_who_asks_again_is_not_kept_waiting_by_old_failures() {
        let backoff = Backoff::default();
        (0..2 * AWAY_AFTER).for_each(|_| backoff.note(Instant::now(), Some(&passing(None))));
        assert!(backoff.wait().await.is_err());
        backoff.forget_pause();
        assert!(backoff.wait().await.is_ok());
        // a straggler from before changes nothing
        backoff.note(Instant::now(), Some(&passing(None)));
        assert!(backoff.wait().await.is_ok());
        // a pause the system itself asked for stays
        backoff.note(Instant::now(), Some(&passing(Some(Duration::from_secs(60)))));
        backoff.forget_pause();
        assert!(backoff.state().until.is_some());
    }
}
