//! The guard thread: answers program starts, never late.

use super::fan::{EventFd, Group, Request};
use super::{Denied, Initiator, Shared, mounts};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Hashes remembered; about 100 bytes each.
const CACHE_MAX: usize = 16_384;
/// Program starts that may wait for a hash at once; more are allowed unchecked.
const WAITING_MAX: usize = 1_024;
const WORKERS: usize = 2;
/// Mounts that could not be guarded are tried again this often.
const RETRY: Duration = Duration::from_secs(2);

/// What identifies a version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileVersion {
    dev: u64,
    ino: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    size: u64,
}

struct Waiting {
    file: Arc<File>,
    deadline: Instant,
}

struct Job {
    file: Arc<File>,
    version: FileVersion,
    pid: u32,
}

/// What guard and workers share.
struct Desk {
    group: Group,
    shared: Arc<Shared>,
    cache: Mutex<HashMap<FileVersion, [u8; 32]>>,
    /// By descriptor. Whoever takes an entry out answers it.
    waiting: Mutex<HashMap<RawFd, Waiting>>,
}

type Orders = (mpsc::Sender<mpsc::Sender<()>>, Arc<EventFd>);

pub(super) struct Guard {
    desk: Arc<Desk>,
    wake: Arc<EventFd>,
    orders: mpsc::Receiver<mpsc::Sender<()>>,
    jobs: mpsc::Sender<Job>,
    mountinfo: Option<File>,
    marked: bool,
    /// When to try again what could not be marked.
    retry_at: Option<Instant>,
}

impl Guard {
    /// Starts the guard and its workers; nothing is marked before the first order.
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Orders> {
        let desk = Arc::new(Desk { group: Group::new()?, shared, cache: Mutex::default(), waiting: Mutex::default() });
        let wake = Arc::new(EventFd::new()?);
        let (orders_in, orders) = mpsc::channel();
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WORKERS {
            let (desk, queue) = (desk.clone(), queue.clone());
            thread::Builder::new().name("prevent-hash".to_owned()).spawn(move || work(&desk, &queue))?;
        }
        let guard = Guard {
            desk,
            wake: wake.clone(),
            orders,
            jobs,
            mountinfo: File::open("/proc/self/mountinfo").ok(),
            marked: false,
            retry_at: None,
        };
        thread::Builder::new().name("prevent-guard".to_owned()).spawn(move || guard.run())?;
        Ok((orders_in, wake))
    }

    fn run(mut self) {
        loop {
            let ready = self.wait();
            if ready.orders {
                self.wake.clear();
                loop {
                    match self.orders.try_recv() {
                        Ok(done) => {
                            self.mark();
                            let _ = done.send(());
                        }
                        Err(mpsc::TryRecvError::Empty) => break,
                        Err(mpsc::TryRecvError::Disconnected) => return,
                    }
                }
            }
            let retry = self.retry_at.is_some_and(|at| at <= Instant::now());
            if retry || (ready.mounts && self.marked) {
                self.mark();
            }
            if ready.requests {
                match self.desk.group.requests() {
                    Ok(requests) => requests.into_iter().for_each(|request| self.judge(request)),
                    Err(error) => {
                        self.desk.shared.set_state(format!("fanotify: {error}"));
                        return;
                    }
                }
            }
            self.desk.allow_overdue();
        }
    }

    fn wait(&self) -> Ready {
        let poll = |fd: RawFd, events: i16| libc::pollfd { fd, events, revents: 0 };
        let mut fds = [
            poll(self.desk.group.as_raw_fd(), libc::POLLIN),
            poll(self.wake.as_raw_fd(), libc::POLLIN),
            // the kernel signals a changed mount table as an exceptional condition
            poll(self.mountinfo.as_ref().map_or(-1, AsRawFd::as_raw_fd), libc::POLLPRI),
        ];
        let retry = self.retry_at.map(|at| at.saturating_duration_since(Instant::now()));
        let next = [self.desk.next_deadline(), retry].into_iter().flatten().min();
        let timeout = next.map_or(-1, |left| left.as_millis() as i32 + 1);
        // SAFETY: three valid pollfds are passed.
        unsafe { libc::poll(fds.as_mut_ptr(), 3, timeout) };
        let mounts = fds[2].revents & (libc::POLLPRI | libc::POLLERR) != 0;
        Ready { requests: fds[0].revents != 0, orders: fds[1].revents != 0, mounts }
    }

    /// Puts the marks in line with list and configuration.
    fn mark(&mut self) {
        let shared = self.desk.shared.clone();
        self.retry_at = None;
        let _ = self.desk.group.forget_ignored();
        if shared.list().is_empty() {
            if self.marked {
                let _ = self.desk.group.unmark_mounts();
                self.marked = false;
            }
            shared.set_state("ok".to_owned());
            return;
        }
        let targets = match self.targets() {
            Ok(targets) => targets,
            Err(error) => {
                self.retry_at = Some(Instant::now() + RETRY);
                return shared.set_state(format!("mounts cannot be found: {error}"));
            }
        };
        let mut failures = Vec::new();
        let mut marked = 0;
        for target in &targets {
            match self.desk.group.mark_mount(target) {
                Ok(()) => marked += 1,
                Err(error) => failures.push(format!("{}: {error}", target.display())),
            }
        }
        self.marked = marked > 0;
        if !failures.is_empty() {
            self.retry_at = Some(Instant::now() + RETRY);
        }
        shared.set_state(match failures.first() {
            None if marked > 0 => "ok".to_owned(),
            None => "no mount to guard".to_owned(),
            Some(first) => format!("{} of {} mounts not guarded: {first}", failures.len(), targets.len()),
        });
    }

    fn targets(&self) -> io::Result<Vec<PathBuf>> {
        let shared = &self.desk.shared;
        if !shared.config.mounts.is_empty() {
            let root = shared.scope.root()?;
            return Ok(shared
                .config
                .mounts
                .iter()
                .map(|path| root.join(path.strip_prefix("/").unwrap_or(path)))
                .collect());
        }
        if shared.scope != crate::scope::Scope::DEVICE {
            // a narrowed sensor guards only what it is told to
            return Ok(Vec::new());
        }
        Ok(mounts::local(&std::fs::read_to_string("/proc/self/mountinfo")?))
    }

    fn judge(&self, request: Request) {
        let Request { file, pid } = request;
        if pid == std::process::id() {
            return self.desk.group.answer(&file, true);
        }
        let Ok(version) = FileVersion::of(&file) else { return self.desk.group.answer(&file, true) };
        let known = self.desk.cache.lock().expect("never poisoned").get(&version).copied();
        if let Some(hash) = known {
            return self.desk.decide(&file, &version, &hash, pid);
        }
        let config = &self.desk.shared.config;
        let mut waiting = self.desk.waiting.lock().expect("never poisoned");
        if version.size > config.hash_size_max_mib.saturating_mul(1024 * 1024) || waiting.len() >= WAITING_MAX {
            self.desk.shared.unchecked.fetch_add(1, Ordering::Relaxed);
            return self.desk.group.answer(&file, true);
        }
        let file = Arc::new(file);
        let deadline = Instant::now() + Duration::from_millis(config.deadline_ms);
        waiting.insert(file.as_raw_fd(), Waiting { file: file.clone(), deadline });
        drop(waiting);
        // workers end only after this thread has
        let _ = self.jobs.send(Job { file, version, pid });
    }
}

struct Ready {
    requests: bool,
    orders: bool,
    mounts: bool,
}

impl FileVersion {
    fn of(file: &File) -> io::Result<FileVersion> {
        let found = file.metadata()?;
        Ok(FileVersion {
            dev: found.dev(),
            ino: found.ino(),
            mtime: (found.mtime(), found.mtime_nsec()),
            ctime: (found.ctime(), found.ctime_nsec()),
            size: found.len(),
        })
    }
}

impl Desk {
    fn decide(&self, file: &File, version: &FileVersion, hash: &[u8; 32], pid: u32) {
        if !self.shared.list().contains(hash) {
            if only_root_writes(file) {
                let _ = self.group.ignore(file);
            }
            return self.group.answer(file, true);
        }
        // the kernel names a file of another mount namespace as that namespace does
        let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
        let initiator = Initiator::look(pid);
        self.group.answer(file, false);
        self.shared.report(Denied { sha256: hex::encode(hash), path, size: version.size, initiator });
    }

    fn next_deadline(&self) -> Option<Duration> {
        let waiting = self.waiting.lock().expect("never poisoned");
        let next = waiting.values().map(|waiting| waiting.deadline).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn allow_overdue(&self) {
        let now = Instant::now();
        let mut waiting = self.waiting.lock().expect("never poisoned");
        waiting.retain(|_, entry| {
            let overdue = entry.deadline <= now;
            if overdue {
                self.shared.unchecked.fetch_add(1, Ordering::Relaxed);
                self.group.answer(&entry.file, true);
            }
            !overdue
        });
    }
}

/// A file that only root can write needs no second look until it is written: writes clear the
/// ignore mark. (Writes through a shared memory map do not, so files of users are asked for again.)
fn only_root_writes(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.uid() == 0 && found.mode() & 0o022 == 0)
}

fn work(desk: &Desk, queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let job = queue.lock().expect("never poisoned").recv();
        let Ok(Job { file, version, pid }) = job else { return };
        let hash = hash(&file);
        let mine = desk.waiting.lock().expect("never poisoned").remove(&file.as_raw_fd()).is_some();
        let unchanged = FileVersion::of(&file).is_ok_and(|after| after == version);
        match hash {
            Ok(hash) => {
                if unchanged {
                    let mut cache = desk.cache.lock().expect("never poisoned");
                    if cache.len() >= CACHE_MAX {
                        cache.clear();
                    }
                    cache.insert(version, hash);
                }
                if mine {
                    desk.decide(&file, &version, &hash, pid);
                }
            }
            Err(_) if mine => {
                desk.shared.unchecked.fetch_add(1, Ordering::Relaxed);
                desk.group.answer(&file, true);
            }
            Err(_) => {}
        }
    }
}

fn hash(file: &File) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&buffer[..read]);
        offset += read as u64;
    }
}
