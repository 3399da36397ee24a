//! What `/proc` tells of a process. Always a race with its end: every answer is optional.

use super::process::ProcessInfo;
use super::record::split_args;
use super::rows;
use hinomi_model::ProcessKey;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Most bytes of arguments taken.
const ARGS_BYTES_MAX: u64 = 32 * 1024;

/// Reads a process; what cannot be read stays empty.
pub fn read(key: ProcessKey, comm: Option<String>) -> ProcessInfo {
    let exe = image_path(key.pid).unwrap_or_default();
    let argv = argv(key.pid).unwrap_or_default();
    let file_name = match rows::file_name(&exe) {
        name if name.is_empty() => comm.or_else(|| self::comm(key.pid)).unwrap_or_default(),
        name => name,
    };
    ProcessInfo {
        key,
        ppid: 0,
        parent: None,
        parent_file_name: String::new(),
        exe: exe.to_string_lossy().into_owned(),
        file_name,
        cmdline: rows::command_line(&argv),
        argv,
        cwd: fs::read_link(place(key.pid, "cwd")).map(|cwd| cwd.to_string_lossy().into_owned()).unwrap_or_default(),
        uid: 0,
        user: None,
        digest: None,
        mount_namespace: 0,
        ended_at: None,
        told: false,
    }
}

/// Opens the image a process runs.
///
/// # Errors
/// When it ended, or is a kernel thread.
pub fn open_image(pid: i64) -> io::Result<File> {
    File::open(place(pid, "exe"))
}

/// Returns the arguments of a process.
pub fn argv(pid: i64) -> Option<Vec<String>> {
    let mut bytes = Vec::new();
    File::open(place(pid, "cmdline")).ok()?.take(ARGS_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(split_args(&bytes))
}

/// Returns the name of a process's image, or its short name.
pub fn image_name(pid: i64) -> Option<String> {
    image_path(pid).map(|path| rows::file_name(&path)).or_else(|| comm(pid))
}

/// Returns the real user of a process.
pub fn uid(pid: i64) -> Option<u32> {
    let status = fs::read_to_string(place(pid, "status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns whether a process with this pid exists.
pub fn is_alive(pid: i64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn image_path(pid: i64) -> Option<PathBuf> {
    let link = fs::read_link(place(pid, "exe")).ok()?;
    let text = link.to_string_lossy();
    Some(text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or_else(|| link.clone()))
}

fn comm(pid: i64) -> Option<String> {
    Some(fs::read_to_string(place(pid, "comm")).ok()?.trim_end().to_owned())
}

fn place(pid: i64, what: &str) -> String {
    format!("/proc/{pid}/{what}")
}
