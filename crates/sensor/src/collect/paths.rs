//! Paths of other processes: opened in their mount namespace, made absolute as they meant them.

use super::process::ProcessTable;
use super::record::FileState;
use super::{hash, system};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Most mount namespaces held open at a time.
const ROOTS_MAX: usize = 256;
/// How many processes of a namespace are asked for its root.
const TRIES_MAX: usize = 4;

/// Roots of mount namespaces. A root is held only while the namespace has processes, so that the
/// sensor never keeps a container's file system busy.
pub struct Roots {
    own: u32,
    fds: HashMap<u32, Root>,
}

struct Root {
    fd: OwnedFd,
    /// No process was there at the last sweep.
    idle: bool,
}

impl Roots {
    /// Takes the sensor's own mount namespace as the one of unprefixed paths.
    pub fn new() -> Roots {
        let own = std::fs::metadata("/proc/thread-self/ns/mnt").map_or(0, |meta| meta.ino() as u32);
        Roots { own, fds: HashMap::new() }
    }

    /// Opens a file by its path in mount namespace `ns`, of which `pid` is or was a member. Follows no
    /// link at the end and never blocks on a pipe.
    ///
    /// # Errors
    /// When the path, the file or the namespace is gone.
    pub fn open(&mut self, ns: u32, pid: u32, path: &Path, table: &ProcessTable) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(File::from(self.open_with(ns, pid, path, flags, table)?))
    }

    /// Opens the very file of `state`, also through the sensor's own namespace when the other is gone.
    ///
    /// # Errors
    /// When it cannot be found, or another file has its name.
    pub fn open_exact(
        &mut self,
        ns: u32,
        pid: u32,
        path: &Path,
        state: &FileState,
        table: &ProcessTable,
    ) -> io::Result<File> {
        if let Ok(file) = self.open(ns, pid, path, table)
            && !hash::is_other_file(state, &hash::state_of(&file)?)
        {
            return Ok(file);
        }
        let file = self.open(self.own, pid, path, table)?;
        let seen = hash::state_of(&file)?;
        if (seen.dev, seen.ino) != (state.dev, state.ino) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(file)
    }

    /// Takes hold of a namespace's root while a process of it is surely there.
    pub fn prepare(&mut self, ns: u32, pid: u32, table: &ProcessTable) {
        // without it, files are looked for through other processes later
        let _ = self.root(ns, pid, table);
    }

    /// Returns the absolute path of a name given to a system call: `base` is the folder a relative
    /// name starts from. Links in the folder part are resolved while the folder still exists.
    pub fn resolve(&mut self, ns: u32, pid: u32, base: Option<&Path>, name: &[u8], table: &ProcessTable) -> PathBuf {
        let name = Path::new(OsStr::from_bytes(name));
        let full = base.unwrap_or(Path::new("/")).join(name);
        let (Some(folder), Some(last)) = (full.parent(), full.file_name()) else { return normal(&full) };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match self.open_with(ns, pid, folder, flags, table).and_then(|fd| system::path_of(&fd)) {
            Ok(folder) if folder.is_absolute() => folder.join(last),
            _ => normal(&full),
        }
    }

    /// Returns where a path leads when it is a link, else the path itself.
    pub fn follow(&mut self, ns: u32, pid: u32, path: PathBuf, table: &ProcessTable) -> PathBuf {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        match self.open_with(ns, pid, &path, flags, table).and_then(|fd| system::path_of(&fd)) {
            Ok(real) if real.is_absolute() => real,
            _ => path,
        }
    }

    /// Lets go of namespaces without processes for two sweeps.
    pub fn sweep(&mut self, table: &ProcessTable) {
        let own = self.own;
        self.fds.retain(|ns, root| {
            let was_idle = std::mem::replace(&mut root.idle, *ns != own && !table.is_namespace_alive(*ns));
            !(was_idle && root.idle)
        });
    }

    fn open_with(&mut self, ns: u32, pid: u32, path: &Path, flags: OFlag, table: &ProcessTable) -> io::Result<OwnedFd> {
        let root = self.root(ns, pid, table)?;
        let how =
            OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        Ok(openat2(root.as_fd(), path, how)?)
    }

    fn root(&mut self, ns: u32, pid: u32, table: &ProcessTable) -> io::Result<&OwnedFd> {
        if !self.fds.contains_key(&ns) {
            let root = if ns == self.own { File::open("/")?.into() } else { find_root(ns, pid, table)? };
            if self.fds.len() >= ROOTS_MAX {
                self.fds.clear();
            }
            self.fds.insert(ns, Root { fd: root, idle: false });
        }
        self.fds.get(&ns).map(|root| &root.fd).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Finds the root of a namespace through a process that has not changed its own root.
fn find_root(ns: u32, pid: u32, table: &ProcessTable) -> io::Result<OwnedFd> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for pid in std::iter::once(pid).chain(table.in_namespace(ns, TRIES_MAX)) {
        let found = || -> io::Result<OwnedFd> {
            let meta = std::fs::metadata(format!("/proc/{pid}/ns/mnt"))?;
            let root = format!("/proc/{pid}/root");
            if meta.ino() as u32 != ns || std::fs::read_link(&root)? != Path::new("/") {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(File::open(root)?.into())
        };
        match found() {
            Ok(root) => return Ok(root),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Removes `.`, `..` and doubled slashes by the letters alone.
pub fn normal(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_absolute() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("real")).unwrap();
        std::os::unix::fs::symlink(real.join("real"), real.join("link")).unwrap();
        let table = ProcessTable::new(uuid::Uuid::nil().into());
        let mut roots = Roots::new();
        let (own, pid) = (roots.own, std::process::id());
        let mut check = |base: Option<&Path>, name: &str| roots.resolve(own, pid, base, name.as_bytes(), &table);
        assert_eq!(check(Some(&real), "link/../real//gone"), real.join("real/gone"));
        assert_eq!(check(Some(&real), "link/gone"), real.join("real/gone"));
        assert_eq!(check(None, "/no/such/../folder/x"), Path::new("/no/folder/x"));
        assert_eq!(check(None, "/"), Path::new("/"));
    }
}
