//! Loads and attaches the BPF programs, each for itself: what a kernel refuses becomes a missing
//! capability, not a failure of the whole.

use super::record::Kind;
use super::system::{self, KernelFs};
use super::{CollectConfig, CollectError};
use libbpf_rs::{
    Iter, Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel, ProgramInput,
};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, RawFd};
use std::sync::Mutex;

const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sensor.bpf.o"));
/// Most bytes read from the task iterator: a million processes.
const TASKS_BYTES_MAX: u64 = 256 * 1024 * 1024;

enum Place {
    /// A raw tracepoint named by the program itself.
    Raw,
    /// These system calls; calls an architecture does not have are passed over.
    Calls(&'static [&'static str]),
    /// The root of cgroup2.
    Cgroup,
    /// Nowhere: run on demand.
    OnDemand,
}

/// Program, the capability that misses something without it, where it goes.
const PROGRAMS: &[(&str, &str, Place)] = &[
    ("on_exec", "exec", Place::Raw),
    ("on_fork", "fork", Place::Raw),
    ("on_exit", "exit", Place::Raw),
    ("all_tasks", "exec", Place::OnDemand),
    ("count_writers", "file", Place::OnDemand),
    ("after_open", "file", Place::Calls(&["sys_exit_open", "sys_exit_creat", "sys_exit_openat", "sys_exit_openat2"])),
    ("before_close", "file", Place::Calls(&["sys_enter_close"])),
    ("before_dup", "file", Place::Calls(&["sys_enter_dup2", "sys_enter_dup3"])),
    ("before_call1", "file", Place::Calls(&["sys_enter_unlink"])),
    ("before_call2", "file", Place::Calls(&["sys_enter_rename", "sys_enter_link", "sys_enter_symlink"])),
    ("before_call3", "file", Place::Calls(&["sys_enter_unlinkat", "sys_enter_symlinkat"])),
    ("before_call4", "file", Place::Calls(&["sys_enter_renameat", "sys_enter_renameat2", "sys_enter_linkat"])),
    ("after_unlink", "file", Place::Calls(&["sys_exit_unlink"])),
    ("after_unlinkat", "file", Place::Calls(&["sys_exit_unlinkat"])),
    ("after_rename", "file", Place::Calls(&["sys_exit_rename"])),
    ("after_renameat", "file", Place::Calls(&["sys_exit_renameat", "sys_exit_renameat2"])),
    ("after_link", "file", Place::Calls(&["sys_exit_link"])),
    ("after_linkat", "file", Place::Calls(&["sys_exit_linkat"])),
    ("after_symlink", "file", Place::Calls(&["sys_exit_symlink"])),
    ("after_symlinkat", "file", Place::Calls(&["sys_exit_symlinkat"])),
    ("on_connect4", "network", Place::Cgroup),
    ("on_connect6", "network", Place::Cgroup),
    ("on_sendmsg4", "network", Place::Cgroup),
    ("on_sendmsg6", "network", Place::Cgroup),
    ("on_egress", "dns", Place::Cgroup),
];

/// The loaded object and its attachments.
pub struct Bpf {
    object: Object,
    _links: Vec<Link>,
    /// Capability → `ok` or what is missing.
    pub capabilities: BTreeMap<String, String>,
}

impl Bpf {
    /// Loads what the kernel takes and attaches it.
    ///
    /// # Errors
    /// When no program loads at all.
    pub fn start(config: &CollectConfig) -> Result<Bpf, CollectError> {
        libbpf_rs::set_print(Some((PrintLevel::Warn, keep_message)));
        let mut missing: BTreeMap<&str, String> = BTreeMap::new();
        let (object, refused) = load(config)?;
        let mut links = Vec::new();
        let attached = attach(&object, &refused, config, &mut links);
        for (capability, program, reason) in refused.into_iter().chain(attached) {
            missing.entry(capability).or_insert_with(|| format!("{program}: {reason}"));
        }
        let capabilities = PROGRAMS
            .iter()
            .map(|(_, capability, _)| *capability)
            .map(|name| (name.to_owned(), missing.get(name).cloned().unwrap_or_else(|| "ok".to_owned())))
            .collect();
        Ok(Bpf { object, _links: links, capabilities })
    }

    /// Returns a map by name, with a descriptor of its own.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn map(&self, name: &str) -> Result<MapHandle, CollectError> {
        let map = self.object.maps().find(|map| map.name() == name);
        let map = map.ok_or_else(|| CollectError::Load(format!("the object has no map {name}")))?;
        MapHandle::try_from(&map).map_err(|error| CollectError::Load(format!("{error:#}")))
    }

    /// Returns the records of the processes that run now, back to back.
    pub fn tasks(&self) -> Vec<u8> {
        let read = || -> Option<Vec<u8>> {
            let program = self.object.progs_mut().find(|program| program.name() == "all_tasks")?;
            let link = program.attach().ok()?;
            let mut bytes = Vec::new();
            Iter::new(&link).ok()?.take(TASKS_BYTES_MAX).read_to_end(&mut bytes).ok()?;
            Some(bytes)
        };
        read().unwrap_or_default()
    }

    /// Returns a function that tells how many have the file behind a descriptor open for writing.
    pub fn writers(&self) -> impl Fn(RawFd) -> u32 + '_ {
        let program = self.object.progs_mut().find(|program| program.name() == "count_writers");
        move |fd| {
            let Some(program) = &program else { return 0 };
            let mut context = u64::from(fd as u32).to_ne_bytes();
            let input = ProgramInput { context_in: Some(&mut context), ..Default::default() };
            program.test_run(input).map_or(0, |output| output.return_value)
        }
    }
}

type Refused = Vec<(&'static str, &'static str, String)>;

/// Loads all programs; when that fails, finds those the kernel refuses and loads the rest.
fn load(config: &CollectConfig) -> Result<(Object, Refused), CollectError> {
    let all = || PROGRAMS.iter().map(|(name, ..)| *name);
    if let Ok(object) = load_only(config, &all().collect::<Vec<_>>()) {
        return Ok((object, Vec::new()));
    }
    let mut good = Vec::new();
    let mut refused = Vec::new();
    for (name, capability, _) in PROGRAMS {
        match load_only(config, &[name]) {
            Ok(_) => good.push(*name),
            Err(reason) => refused.push((*capability, *name, reason)),
        }
    }
    if good.is_empty() {
        return Err(CollectError::Load(refused.swap_remove(0).2));
    }
    let object = load_only(config, &good).map_err(CollectError::Load)?;
    Ok((object, refused))
}

fn load_only(config: &CollectConfig, names: &[&str]) -> Result<Object, String> {
    take_messages();
    let told = |error: libbpf_rs::Error| match take_messages().pop() {
        Some(message) => format!("{error} ({message})"),
        None => error.to_string(),
    };
    let mut object = ObjectBuilder::default().open_memory(OBJECT).map_err(told)?;
    configure(&mut object, config).map_err(told)?;
    for mut program in object.progs_mut() {
        let is_wanted = program.name().to_str().is_some_and(|name| names.contains(&name));
        program.set_autoload(is_wanted);
    }
    object.load().map_err(told)
}

fn configure(object: &mut OpenObject, config: &CollectConfig) -> Result<(), libbpf_rs::Error> {
    // `ns_common.inum` is 32 bits wide in every kernel
    let scope = config.scope_mount_namespace.unwrap_or(0) as u32;
    for mut map in object.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name == "ring" {
            map.set_max_entries(config.ring_bytes)?;
        } else if name.ends_with(".rodata.scope") {
            map.set_initial_value(&scope.to_ne_bytes())?;
        }
    }
    Ok(())
}

fn attach(object: &Object, refused: &Refused, config: &CollectConfig, links: &mut Vec<Link>) -> Refused {
    let tracing = KernelFs::tracing().map_err(|error| format!("no tracefs: {error}"));
    let cgroup2 = KernelFs::cgroup2(config.cgroup2_path.as_deref()).map_err(|error| format!("no cgroup2: {error}"));
    let mut failed = Refused::new();
    for (name, capability, place) in PROGRAMS {
        if refused.iter().any(|(_, other, _)| other == name) {
            continue;
        }
        let Some(program) = object.progs_mut().find(|program| program.name() == *name) else { continue };
        let told = |error: libbpf_rs::Error| error.to_string();
        let result = match place {
            Place::OnDemand => Ok(()),
            Place::Raw => program.attach_trace().map(|link| links.push(link)).map_err(told),
            Place::Cgroup => match &cgroup2 {
                Ok(root) => {
                    let link = program.attach_cgroup(root.as_fd().as_raw_fd());
                    link.map(|link| links.push(link)).map_err(told)
                }
                Err(reason) => Err(reason.clone()),
            },
            Place::Calls(calls) => match &tracing {
                Ok(root) => attach_calls(&program, calls, root, links),
                Err(reason) => Err(reason.clone()),
            },
        };
        if let Err(reason) = result {
            failed.push((*capability, *name, reason));
        }
    }
    failed
}

fn attach_calls(
    program: &libbpf_rs::ProgramMut<'_>,
    calls: &[&str],
    tracing: &KernelFs,
    links: &mut Vec<Link>,
) -> Result<(), String> {
    for call in calls {
        let Ok(id) = tracing.read(&format!("events/syscalls/{call}/id")) else {
            if is_old_call(call) {
                continue;
            }
            return Err(format!("the kernel has no tracepoint {call}"));
        };
        let id = id.trim().parse().map_err(|_| format!("{call}: tracepoint id is not a number"))?;
        let event = system::perf_tracepoint(id).map_err(|error| format!("{call}: {error}"))?;
        // the link takes the descriptor over, and closes it with itself
        let link = program.attach_perf_event(event.as_raw_fd()).map_err(|error| format!("{call}: {error}"))?;
        let _ = event.into_raw_fd();
        links.push(link);
    }
    Ok(())
}

/// Calls newer architectures have not, because a call with `at` does the same.
fn is_old_call(call: &str) -> bool {
    let name = call.trim_start_matches("sys_enter_").trim_start_matches("sys_exit_");
    ["open", "creat", "dup2", "unlink", "rename", "renameat", "link", "symlink"].contains(&name)
}

/// Leaves a process unreported.
pub fn exclude(excluded: &MapHandle, pid: u32) {
    if let Err(error) = excluded.update(&pid.to_ne_bytes(), &[1], MapFlags::ANY) {
        tracing::warn!(process.id = pid, %error, "process {pid} could not be excluded");
    }
}

/// Returns records lost because the ring was full, by kind.
pub fn ring_losses(lost: &MapHandle) -> Vec<(Kind, u64)> {
    let mut losses = Vec::new();
    for (number, kind) in Kind::ALL {
        let per_cpu = lost.lookup_percpu(&number.to_ne_bytes(), MapFlags::ANY).ok().flatten().unwrap_or_default();
        let counts = per_cpu.iter().filter_map(|bytes| bytes.as_slice().try_into().ok().map(u64::from_ne_bytes));
        let sum: u64 = counts.sum();
        if sum > 0 {
            losses.push((kind, sum));
        }
    }
    losses
}

/// Warnings of libbpf, kept to tell why something was refused.
static MESSAGES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn keep_message(_: PrintLevel, message: String) {
    // the verifier's log is the line worth telling: its last one before the summary
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_filler = |line: &&str| line.starts_with("processed ") || line.starts_with("-- ");
    let Some(line) = lines.rev().find(|line| !is_filler(line)) else { return };
    let mut messages = MESSAGES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if messages.len() < 64 && !line.contains("failed to load object") {
        messages.push(line.chars().take(200).collect());
    }
    tracing::debug!(message = line, "libbpf");
}

fn take_messages() -> Vec<String> {
    std::mem::take(&mut *MESSAGES.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Returns the descriptor number of a file for [`Bpf::writers`].
pub fn raw(file: &impl AsFd) -> RawFd {
    file.as_fd().as_raw_fd()
}
