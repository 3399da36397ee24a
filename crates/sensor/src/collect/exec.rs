//! A process starts an image.

use super::hash::HashError;
use super::process::{FileDigest, ProcessInfo};
use super::record::{Record, Tag};
use super::worker::Worker;
use super::{procfs, rows, script};
use hinomi_model::Table;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Worker<'_> {
    pub(super) fn on_exec(&mut self, record: &Record<'_>) {
        let key = self.key(record.tgid, record.start_ns);
        let before = self.table.by_key(key);
        self.roots.prepare(record.mount_ns, record.tgid, &self.table);
        let exe = record.path(Tag::Exe).unwrap_or_default();
        let cwd = record.path(Tag::Cwd);
        let argv = self.argv(record);
        let image = self.image_digest(record, &exe);
        let real_parent = self.key(record.ppid, record.parent_start_ns);
        // who created it was told at the fork; by now it may have been handed to a reaper
        let parent = before.as_ref().and_then(|info| info.parent).or((record.ppid != 0).then_some(real_parent));
        let ppid = parent.map_or(record.ppid, |key| key.pid as u32);
        self.ensure_parent(record, ppid);

        let user = self.user(record.uid);
        let info = self.table.put(ProcessInfo {
            key,
            ppid,
            parent,
            parent_file_name: self.file_name_of(parent, ppid),
            exe: exe.to_string_lossy().into_owned(),
            file_name: rows::file_name(&exe),
            cmdline: rows::command_line(&argv),
            argv,
            cwd: cwd.as_deref().map(|cwd| cwd.to_string_lossy().into_owned()).unwrap_or_default(),
            uid: record.uid,
            user,
            digest: image.as_ref().ok().cloned(),
            mount_namespace: before.as_ref().map_or(u64::from(record.mount_ns), |info| info.mount_namespace),
            ended_at: None,
            told: true,
        });
        self.table.enter_namespace(key, record.mount_ns);

        let mut event = self.row(Table::DeviceProcessEvents, "ProcessCreated", record);
        rows::set_process(&mut event, &info);
        self.set_parent(&mut event, &info);
        let mut fields = Map::new();
        fields.insert("ProcessCurrentDirectory".to_owned(), info.cwd.as_str().into());
        fields.insert("Argv".to_owned(), rows::argv_json(&info.argv));
        if let Some(cgroup) = self.cgroup_path(record.cgroup) {
            fields.insert("CgroupPath".to_owned(), cgroup.into());
        }
        if record.euid != record.uid {
            fields.insert("EffectiveUserId".to_owned(), record.euid.into());
        }
        if record.truncated {
            fields.insert("Truncated".to_owned(), true.into());
        }
        if record.file.nlink == 0 {
            // started from memory (memfd) or removed before it was started
            fields.insert("ImageHasNoName".to_owned(), true.into());
        }
        if let Some(before) = before.filter(|before| before.told && before.exe != info.exe) {
            fields.insert("PreviousImage".to_owned(), before.exe.as_str().into());
        }
        if let Err(error) = &image {
            event.set("FileSize", record.file.size as i64);
            fields.insert("HashUnavailable".to_owned(), error.word().into());
        }
        self.add_script(record, &info, &mut fields);
        event.set("AdditionalFields", Value::Object(fields).to_string());
        self.send(event);
    }

    /// Returns the arguments; those that did not fit are read from `/proc` while the process lives.
    fn argv(&self, record: &Record<'_>) -> Vec<String> {
        let argv = record.args();
        if !record.truncated && !argv.is_empty() {
            return argv;
        }
        match procfs::argv(i64::from(record.tgid)) {
            Some(whole) if whole.first() == argv.first() || argv.is_empty() => whole,
            _ => argv,
        }
    }

    fn image_digest(&mut self, record: &Record<'_>, exe: &Path) -> Result<Arc<FileDigest>, HashError> {
        if let Some(digest) = self.hasher.remembered(&record.file) {
            return Ok(digest);
        }
        // the running image itself, whatever its name is by now; gone when the process is
        if let Ok(image) = procfs::open_image(i64::from(record.tgid))
            && let Ok(digest) = self.hasher.digest(&image, Some(&record.file))
        {
            return Ok(digest);
        }
        let file = self.roots.open_exact(record.mount_ns, record.tgid, exe, &record.file, &self.table)?;
        self.hasher.digest(&file, Some(&record.file))
    }

    /// Takes in the parent when it was never seen: it is outside the scope, or older than the sensor.
    fn ensure_parent(&mut self, record: &Record<'_>, ppid: u32) {
        if ppid == 0 || ppid != record.ppid {
            return;
        }
        let key = self.key(record.ppid, record.parent_start_ns);
        if self.table.by_key(key).is_none() {
            let mut info = procfs::read(key, None);
            info.uid = procfs::uid(key.pid).unwrap_or(info.uid);
            info.user = self.user(info.uid);
            info.told = true;
            self.table.put(info);
        }
    }

    /// Adds the script an interpreter was started on: named by the kernel for `#!`, else an argument.
    fn add_script(&mut self, record: &Record<'_>, info: &ProcessInfo, fields: &mut Map<String, Value>) {
        let Some(path) = self.script_path(record, info) else { return };
        let opened = self.roots.open(record.mount_ns, record.tgid, &path, &self.table);
        let digest = match opened {
            Ok(file) => self.hasher.digest(&file, None),
            Err(error) => Err(error.into()),
        };
        match digest {
            Ok(digest) => {
                fields.insert("ScriptSHA256".to_owned(), digest.sha256.as_str().into());
            }
            // an argument that is no file was no script
            Err(HashError::NotRegular) => return,
            Err(HashError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound && !is_shebang(record) => return,
            Err(error) => {
                fields.insert("ScriptHashUnavailable".to_owned(), error.word().into());
            }
        }
        fields.insert("ScriptPath".to_owned(), path.to_string_lossy().into());
    }

    fn script_path(&mut self, record: &Record<'_>, info: &ProcessInfo) -> Option<PathBuf> {
        let name = if is_shebang(record) {
            record.text(Tag::Filename)?
        } else {
            script::script_argument(&info.file_name, &info.argv)?.as_bytes()
        };
        // execveat of a descriptor: the kernel passes /dev/fd/N
        if let Some(fd) = name.strip_prefix(b"/dev/fd/") {
            let fd: u32 = std::str::from_utf8(fd).ok()?.parse().ok()?;
            return std::fs::read_link(format!("/proc/{}/fd/{fd}", record.tgid)).ok();
        }
        let cwd = record.path(Tag::Cwd);
        let path = self.roots.resolve(record.mount_ns, record.tgid, cwd.as_deref(), name, &self.table);
        Some(self.roots.follow(record.mount_ns, record.tgid, path, &self.table))
    }
}

fn is_shebang(record: &Record<'_>) -> bool {
    let (filename, interp) = (record.text(Tag::Filename), record.text(Tag::Interp));
    filename.is_some() && interp.is_some() && filename != interp
}
