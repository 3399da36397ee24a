//! Time and chance, so that waiting can be played without waiting.

use futures::future::BoxFuture;
use ring::rand::{SecureRandom, SystemRandom};
use std::time::{Duration, SystemTime};

/// Time and chance as the client sees them.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> SystemTime;

    /// Waits.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// A number of 0.0 to below 1.0: how far a pause is drawn into its jitter.
    fn chance(&self) -> f64;
}

/// The system's clock and generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn chance(&self) -> f64 {
        let mut bytes = [0; 4];
        // without randomness every client pauses alike, which only costs time
        let _ = SystemRandom::new().fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}
