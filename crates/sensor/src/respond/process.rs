//! Stops a process and everything it started.
//!
//! Every process is held by a pidfd and checked by its start time before a signal is sent, so a
//! reused pid is never hit. The tree is first frozen from the root down (a frozen parent starts no
//! more children), then killed.

use super::Outcome;
use crate::collect::ProcessTable;
use crate::scope::Scope;
use hinomi_model::{ProcessKey, ReceiptState};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// How far the start time computed from `/proc` (ticks of 10 ms) may be off.
const START_TOLERANCE_US: i64 = 100_000;
/// A tree that still grows after this many rounds is killed as far as it is known.
const ROUNDS_MAX: usize = 64;
/// Most processes of one tree.
const TREE_MAX: usize = 10_000;
/// How long killed processes may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: u32,
    /// Parent.
    pub ppid: u32,
    /// Start in clock ticks since boot.
    pub start_ticks: u64,
    /// Short name (untrusted).
    pub name: String,
}

/// Reads `/proc/PID/stat`; none when the process is gone.
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, &String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

fn parse_stat(pid: u32, text: &str) -> Option<Stat> {
    // the name is in parentheses and may itself contain spaces and parentheses
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let name = text.get(open + 1..close)?.to_owned();
    let fields: Vec<&str> = text.get(close + 1..)?.split_ascii_whitespace().collect();
    Some(Stat { pid, ppid: fields.get(1)?.parse().ok()?, start_ticks: fields.get(19)?.parse().ok()?, name })
}

/// Lists the processes that run.
pub fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Returns when a process started, microseconds since the epoch by today's clock.
pub fn start_micros(start_ticks: u64) -> i64 {
    // SAFETY: sysconf has no preconditions.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1);
    let since_boot = i64::try_from(start_ticks).unwrap_or(i64::MAX).saturating_mul(1_000_000 / ticks_per_second);
    crate::clock::now().as_micros() - boot_micros() + since_boot
}

fn boot_micros() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: time is a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

struct Member {
    stat: Stat,
    pidfd: OwnedFd,
}

/// Stops the tree below `root`, `root` included. Blocks until the processes have ended.
pub fn stop_tree(root: &ProcessKey, table: Option<&ProcessTable>, scope: Scope) -> Outcome {
    let Some(pid) = u32::try_from(root.pid).ok().filter(|pid| *pid > 2) else {
        return Outcome::failed(
            format!("process {} belongs to the system and is never stopped", root.pid),
            format!("プロセス {} はシステムのものなので停止しません", root.pid),
        );
    };
    if pid == std::process::id() {
        return Outcome::failed("the sensor does not stop itself", "センサー自身は停止しません");
    }
    let mut tree = Tree { members: Vec::new(), pids: HashSet::new(), scope };
    match identify(pid, root, table) {
        Identity::Same(_) if !scope.contains(pid) => {
            return Outcome::failed(
                format!("process {pid} is outside of the part of the device this sensor acts in"),
                format!("プロセス {pid} はこのセンサーの対象範囲の外にあります"),
            );
        }
        Identity::Same(stat) => _ = tree.add(stat),
        Identity::Gone => {}
        Identity::Reused => tracing::warn!(pid, "pid {pid} now belongs to another process, it is left alone"),
    }
    for key in table.map(|table| table.descendants(*root)).unwrap_or_default() {
        if let Ok(pid) = u32::try_from(key.pid)
            && let Identity::Same(stat) = identify(pid, &key, table)
        {
            tree.add(stat);
        }
    }
    tree.grow();
    if tree.members.is_empty() {
        return Outcome::new(
            ReceiptState::AlreadyDone,
            format!("process {pid} and its descendants no longer run"),
            format!("プロセス {pid} とその子孫はすでに終了しています"),
            json!({ "killed": [], "survived": [] }),
        );
    }
    tree.kill()
}

enum Identity {
    Same(Stat),
    Gone,
    Reused,
}

fn identify(pid: u32, key: &ProcessKey, table: Option<&ProcessTable>) -> Identity {
    let Some(stat) = stat(pid) else { return Identity::Gone };
    let off = (start_micros(stat.start_ticks) - key.started_at.as_micros()).abs();
    // the table keeps its own clock offset, which stays right when the wall clock was set since
    let known =
        || table.and_then(|table| table.get(pid)).is_some_and(|info| info.key == *key && info.ended_at.is_none());
    if off <= START_TOLERANCE_US || known() { Identity::Same(stat) } else { Identity::Reused }
}

struct Tree {
    /// Parents before children.
    members: Vec<Member>,
    pids: HashSet<u32>,
    scope: Scope,
}

impl Tree {
    /// Holds and freezes a process; false when it is gone or must not be touched.
    fn add(&mut self, stat: Stat) -> bool {
        let own = std::process::id();
        if stat.pid <= 2 || stat.pid == own || self.members.len() >= TREE_MAX || !self.scope.contains(stat.pid) {
            return false;
        }
        let Ok(pidfd) = pidfd_open(stat.pid) else { return false };
        // between reading and opening the pid may have changed hands
        if self::stat(stat.pid).is_none_or(|again| again.start_ticks != stat.start_ticks) {
            return false;
        }
        if send(&pidfd, libc::SIGSTOP).is_err() || !self.pids.insert(stat.pid) {
            return false;
        }
        self.members.push(Member { stat, pidfd });
        true
    }

    /// Adds children until a round finds none.
    fn grow(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let fresh: Vec<Stat> = pids()
                .into_iter()
                .filter(|pid| !self.pids.contains(pid))
                .filter_map(stat)
                .filter(|stat| self.pids.contains(&stat.ppid))
                .collect();
            let mut grown = false;
            for stat in fresh {
                grown |= self.add(stat);
            }
            if !grown {
                return;
            }
        }
    }

    fn kill(self) -> Outcome {
        let mut failures = Vec::new();
        for member in &self.members {
            match send(&member.pidfd, libc::SIGKILL) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                    failures.push((member.stat.pid, error.to_string()));
                }
                _ => {}
            }
        }
        let deadline = Instant::now() + END_TIMEOUT;
        let mut killed: Vec<Value> = Vec::new();
        for member in &self.members {
            if ended(&member.pidfd, deadline) {
                killed.push(json!({ "pid": member.stat.pid, "name": member.stat.name }));
            } else if failures.iter().all(|(pid, _)| *pid != member.stat.pid) {
                failures.push((member.stat.pid, "still there after SIGKILL".to_owned()));
            }
        }
        let count = killed.len();
        let survived: Vec<Value> = failures.iter().map(|(pid, why)| json!({ "pid": pid, "reason": why })).collect();
        let proof = json!({ "killed": killed, "survived": survived });
        match failures.first() {
            None => Outcome::new(
                ReceiptState::Done,
                format!("{count} processes stopped"),
                format!("{count} 個のプロセスを停止しました"),
                proof,
            ),
            Some((pid, why)) => Outcome::new(
                ReceiptState::Failed,
                format!("{count} processes stopped, {} not: {pid}: {why}", failures.len()),
                format!("{count} 個を停止、{} 個は停止できませんでした: {pid}: {why}", failures.len()),
                proof,
            ),
        }
    }
}

fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain system call with two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn send(pidfd: &OwnedFd, signal: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open; no information block is passed.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A pidfd is readable once its process has ended.
fn ended(pidfd: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd is passed.
        let ready = unsafe { libc::poll(&raw mut poll, 1, left.as_millis() as i32) };
        if ready > 0 {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_and_spaces_are_read() {
        let line = "42 (a) b (c)) S 7 42 42 34816 42 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let stat = parse_stat(42, line).expect("parses");
        assert_eq!((stat.ppid, stat.start_ticks, stat.name.as_str()), (7, 12345, "a) b (c)"));
        assert_eq!(parse_stat(42, "42 (x"), None);
    }
}
