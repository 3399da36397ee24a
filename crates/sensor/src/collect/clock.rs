//! From the kernel's time since boot to wall clock time.

use hinomi_model::Timestamp;
use std::path::Path;

/// A kept offset further than this from the present one was taken before the clock was set.
const DRIFT_MAX_US: i64 = 5_000_000;

/// Two offsets: one that follows the wall clock, for when something happened, and one fixed for the
/// whole boot, for process start times, which are half of a process's identity.
#[derive(Debug, Clone)]
pub struct Clock {
    now_offset_us: i64,
    boot_offset_us: i64,
}

impl Clock {
    /// Takes the offsets; the fixed one is kept in `state_dir` and taken from there while the boot lasts.
    pub fn new(state_dir: Option<&Path>) -> Clock {
        let now = offset_us();
        Clock { now_offset_us: now, boot_offset_us: state_dir.map_or(now, |dir| kept_offset(dir, now)) }
    }

    /// Takes the wall clock anew.
    pub fn refresh(&mut self) {
        self.now_offset_us = offset_us();
    }

    /// Returns when an event happened.
    pub fn event(&self, boot_ns: u64) -> Timestamp {
        Timestamp::from_micros(self.now_offset_us.saturating_add((boot_ns / 1000) as i64))
    }

    /// Returns when a process was created.
    pub fn start(&self, boot_ns: u64) -> Timestamp {
        Timestamp::from_micros(self.boot_offset_us.saturating_add((boot_ns / 1000) as i64))
    }

    /// Returns the present time.
    pub fn now(&self) -> Timestamp {
        self.event(boot_ns())
    }
}

/// Returns nanoseconds since boot, sleep included.
pub fn boot_ns() -> u64 {
    read(libc::CLOCK_BOOTTIME) as u64
}

fn offset_us() -> i64 {
    (read(libc::CLOCK_REALTIME) - read(libc::CLOCK_BOOTTIME)) / 1000
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write a timespec to; both clocks exist since Linux 2.6.39
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn kept_offset(dir: &Path, now: i64) -> i64 {
    let path = dir.join("boot-clock");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.trim();
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((id, offset)) = kept.trim().split_once(' ')
        && id == boot
        && let Ok(offset) = offset.parse::<i64>()
        && (offset - now).abs() <= DRIFT_MAX_US
    {
        return offset;
    }
    if let Err(error) = std::fs::write(&path, format!("{boot} {now}\n")) {
        tracing::warn!(path = %path.display(), %error, "clock offset not kept: a restart renames running processes");
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = Clock::new(Some(dir.path()));
        let mut second = Clock::new(Some(dir.path()));
        second.refresh();
        assert_eq!(first.start(123_456_789), second.start(123_456_789));
    }
}
