//! The system calls a mail worker may make. Everything else is answered as if this kernel did not know
//! it (`ENOSYS`): C libraries then fall back to older calls, which are on the list.
//!
//! A list of what is allowed, so that calls of future kernels and of the x32 and 32-bit tables are
//! refused too. Programs cannot be started and processes not copied, whatever else goes wrong.

use anyhow::{Context, Result};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use std::collections::BTreeMap;

/// What a worker has to do with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Nothing: its mailboxes are files.
    None,
    /// TCP to addresses.
    Tcp,
    /// TCP to names, which are asked for by UDP too.
    TcpAndNames,
}

/// From here on this thread, and what it starts, makes the calls of the list only.
///
/// # Errors
/// When the kernel has no seccomp; nothing is confined then.
pub(super) fn apply(network: Network) -> Result<()> {
    apply_filter(&program(network)?).context("apply the filter")
}

fn program(network: Network) -> Result<BpfProgram> {
    let refused = SeccompAction::Errno(libc::ENOSYS as u32);
    let arch = std::env::consts::ARCH.try_into().context("know the calls of this machine")?;
    Ok(SeccompFilter::new(rules(network)?, refused, SeccompAction::Allow, arch)?.try_into()?)
}

/// Call, and the arguments it may have: one of the rules must fit; none = any.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules(network: Network) -> Result<Rules> {
    let any = ALWAYS.iter().chain(OF_THIS_MACHINE);
    let mut rules: Rules = any.map(|call| (*call, Vec::new())).collect();
    // a new thread, never a process or a namespace
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    let mask = (namespaces | libc::CLONE_THREAD | libc::CLONE_PTRACE) as u64;
    rules.insert(libc::SYS_clone, vec![masked(0, mask, libc::CLONE_THREAD as u64)?]);
    rules.insert(libc::SYS_socketpair, vec![is(0, libc::AF_UNIX as u64)?]);
    rules.insert(libc::SYS_socket, sockets(network)?);
    // to itself only: an abort
    rules.insert(libc::SYS_tgkill, vec![is(0, u64::from(std::process::id()))?]);
    rules.insert(libc::SYS_prlimit64, vec![all([condition(0, SeccompCmpOp::Eq, 0)?, new_limit()?])?]);
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, PR_SET_VMA];
    rules.insert(libc::SYS_prctl, names.iter().map(|name| is(0, *name as u64)).collect::<Result<_>>()?);
    let asks = [libc::FIONBIO, libc::FIONREAD, libc::FIOCLEX, libc::TCGETS];
    rules.insert(libc::SYS_ioctl, asks.iter().map(|ask| is(1, *ask)).collect::<Result<_>>()?);
    Ok(rules)
}

/// `<linux/prctl.h>`: names memory, as newer C libraries do.
const PR_SET_VMA: libc::c_int = 0x5356_4d41;

/// Sockets by family and kind.
fn sockets(network: Network) -> Result<Vec<SeccompRule>> {
    const KIND: u64 = 0xf;
    let of = |family: libc::c_int, kind: libc::c_int| {
        all([condition(0, SeccompCmpOp::Eq, family as u64)?, condition(1, SeccompCmpOp::MaskedEq(KIND), kind as u64)?])
    };
    // name services (nscd, systemd, sssd) listen on sockets of the file system
    let mut sockets = vec![is(0, libc::AF_UNIX as u64)?];
    for family in [libc::AF_INET, libc::AF_INET6] {
        if network != Network::None {
            sockets.push(of(family, libc::SOCK_STREAM)?);
        }
        if network == Network::TcpAndNames {
            sockets.push(of(family, libc::SOCK_DGRAM)?);
        }
    }
    Ok(sockets)
}

/// Limits may be read, not set.
fn new_limit() -> Result<SeccompCondition> {
    Ok(SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?)
}

fn is(argument: u8, value: u64) -> Result<SeccompRule> {
    all([condition(argument, SeccompCmpOp::Eq, value)?])
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompRule> {
    all([condition(argument, SeccompCmpOp::MaskedEq(mask), value)?])
}

fn all<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule> {
    Ok(SeccompRule::new(conditions.into())?)
}

/// A condition on the lower half of an argument: the kernel takes these as 32-bit numbers.
fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value & u64::from(u32::MAX))?)
}

/// Allowed whatever their arguments are.
const ALWAYS: &[i64] = &[
    // files; which of them is Landlock's matter
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_umask,
    libc::SYS_flock,
    libc::SYS_fadvise64,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_fcntl,
    // memory
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // threads and time
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_getcpu,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_getrandom,
    libc::SYS_restart_syscall,
    // signals to itself
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // who it is
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    // sockets once made
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    // waiting for them
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
];

/// Older calls that newer machines never had.
#[cfg(target_arch = "x86_64")]
const OF_THIS_MACHINE: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_getdents,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_arch_prctl,
    libc::SYS_time,
    libc::SYS_getrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const OF_THIS_MACHINE: &[i64] = &[];

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

    /// What a worker never needs. Each would do nothing but fail another way with these arguments.
    fn never() -> Vec<(&'static str, i64, [i64; 4])> {
        let none = [0; 4];
        let bad = [-1; 4];
        vec![
            ("execve", libc::SYS_execve, none),
            ("execveat", libc::SYS_execveat, bad),
            ("fork by clone", libc::SYS_clone, [i64::from(libc::SIGCHLD), 0, 0, 0]),
            ("clone3", libc::SYS_clone3, none),
            ("namespace by clone", libc::SYS_clone, [i64::from(libc::CLONE_THREAD | libc::CLONE_NEWUSER), 0, 0, 0]),
            ("unshare", libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER | libc::CLONE_NEWNET), 0, 0, 0]),
            ("setns", libc::SYS_setns, bad),
            ("ptrace", libc::SYS_ptrace, [-1, -1, 0, 0]),
            ("process_vm_readv", libc::SYS_process_vm_readv, [1, 0, 0, 0]),
            ("process_vm_writev", libc::SYS_process_vm_writev, [1, 0, 0, 0]),
            ("pidfd_open", libc::SYS_pidfd_open, [1, 0, 0, 0]),
            ("pidfd_getfd", libc::SYS_pidfd_getfd, bad),
            ("kill", libc::SYS_kill, [1, 0, 0, 0]),
            ("tgkill of another", libc::SYS_tgkill, [1, 1, 0, 0]),
            ("bpf", libc::SYS_bpf, [-1, 0, 0, 0]),
            ("perf_event_open", libc::SYS_perf_event_open, none),
            ("userfaultfd", libc::SYS_userfaultfd, bad),
            ("io_uring_setup", libc::SYS_io_uring_setup, none),
            ("io_uring_enter", libc::SYS_io_uring_enter, bad),
            ("io_uring_register", libc::SYS_io_uring_register, bad),
            ("mount", libc::SYS_mount, none),
            ("umount2", libc::SYS_umount2, none),
            ("move_mount", libc::SYS_move_mount, bad),
            ("open_tree", libc::SYS_open_tree, bad),
            ("fsopen", libc::SYS_fsopen, none),
            ("pivot_root", libc::SYS_pivot_root, none),
            ("chroot", libc::SYS_chroot, none),
            ("keyctl", libc::SYS_keyctl, bad),
            ("add_key", libc::SYS_add_key, none),
            ("request_key", libc::SYS_request_key, none),
            ("kexec_load", libc::SYS_kexec_load, bad),
            ("init_module", libc::SYS_init_module, none),
            ("finit_module", libc::SYS_finit_module, bad),
            ("delete_module", libc::SYS_delete_module, none),
            ("swapon", libc::SYS_swapon, none),
            ("acct", libc::SYS_acct, bad),
            ("quotactl", libc::SYS_quotactl, bad),
            ("setuid", libc::SYS_setuid, bad),
            ("capset", libc::SYS_capset, none),
            ("seccomp", libc::SYS_seccomp, bad),
            ("personality", libc::SYS_personality, bad),
            ("memfd_create", libc::SYS_memfd_create, none),
            ("name_to_handle_at", libc::SYS_name_to_handle_at, bad),
            ("open_by_handle_at", libc::SYS_open_by_handle_at, bad),
            ("fanotify_init", libc::SYS_fanotify_init, bad),
            ("inotify_init1", libc::SYS_inotify_init1, bad),
            ("bind", libc::SYS_bind, bad),
            ("listen", libc::SYS_listen, bad),
            ("accept4", libc::SYS_accept4, bad),
            ("setting a limit", libc::SYS_prlimit64, [0, 7, 1, 0]),
            ("limits of another", libc::SYS_prlimit64, [1, 7, 0, 0]),
            ("prctl", libc::SYS_prctl, [i64::from(libc::PR_GET_DUMPABLE), 0, 0, 0]),
            ("typing into a terminal", libc::SYS_ioctl, [-1, libc::TIOCSTI as i64, 0, 0]),
            ("netlink", libc::SYS_socket, [i64::from(libc::AF_NETLINK), i64::from(libc::SOCK_RAW), 0, 0]),
            ("packets", libc::SYS_socket, [i64::from(libc::AF_PACKET), i64::from(libc::SOCK_RAW), 0, 0]),
            ("raw sockets", libc::SYS_socket, [i64::from(libc::AF_INET), i64::from(libc::SOCK_RAW), 1, 0]),
            ("vsock", libc::SYS_socket, [i64::from(libc::AF_VSOCK), i64::from(libc::SOCK_STREAM), 0, 0]),
            ("kernel ciphers", libc::SYS_socket, [i64::from(libc::AF_ALG), i64::from(libc::SOCK_SEQPACKET), 0, 0]),
            ("a pair of TCP", libc::SYS_socketpair, [i64::from(libc::AF_INET), i64::from(libc::SOCK_STREAM), 0, 0]),
            ("a call of tomorrow", 100_000, none),
            ("the x32 table", libc::SYS_getpid | 0x4000_0000, none),
        ]
    }

    /// Runs something on a thread that is confined first.
    fn confined(network: Network, what: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(move || match apply(network) {
            Ok(()) => what(),
            Err(error) => panic!("this kernel has no seccomp: {error:#}"),
        });
        thread.join().expect("as confined");
    }

    #[test]
    fn what_a_worker_never_needs_is_not_there() {
        confined(Network::TcpAndNames, || {
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("status");
            assert!(status.lines().any(|line| line == "Seccomp:\t2"), "{status}");
            for (name, call, [a, b, c, d]) in never() {
                // SAFETY: refused before the kernel looks at the arguments, and harmless if it did.
                let returned = unsafe { libc::syscall(call, a, b, c, d, 0, 0) };
                let error = std::io::Error::last_os_error();
                assert_eq!((returned, error.raw_os_error()), (-1, Some(libc::ENOSYS)), "{name}: {error}");
            }
            let started = std::process::Command::new("/bin/true").status();
            assert!(started.is_err(), "a program was started: {started:?}");
        });
        assert!(std::process::Command::new("/bin/true").status().is_ok(), "only that thread");
    }

    #[test]
    fn what_a_worker_does_still_works() {
        let dir = tempfile::tempdir().expect("temp dir");
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let address = listener.local_addr().expect("address");
        let folder = dir.path().to_owned();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("connection");
            stream.write_all(b"hello").expect("write");
        });
        confined(Network::Tcp, move || {
            std::fs::create_dir(folder.join("new")).expect("folder");
            std::fs::write(folder.join("new/file"), "text").expect("write");
            std::fs::File::open(folder.join("new/file")).expect("open").sync_all().expect("sync");
            std::fs::hard_link(folder.join("new/file"), folder.join("new/again")).expect("link");
            std::fs::rename(folder.join("new/again"), folder.join("new/other")).expect("rename");
            assert_eq!(std::fs::read_dir(folder.join("new")).expect("list").count(), 2);
            std::fs::remove_file(folder.join("new/other")).expect("remove");
            // a runtime with threads, as the worker's own
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let told = runtime.expect("runtime").block_on(async move {
                let read = tokio::task::spawn_blocking(move || {
                    let mut told = String::new();
                    TcpStream::connect(address).and_then(|mut stream| stream.read_to_string(&mut told)).map(|_| told)
                });
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                read.await.expect("joined")
            });
            assert_eq!(told.expect("read"), "hello");
            assert!(UdpSocket::bind("127.0.0.1:0").is_err(), "addresses need no UDP");
        });
        answering.join().expect("answered");
        confined(Network::TcpAndNames, || {
            assert!(("localhost", 1).to_socket_addrs().expect("a name").next().is_some());
        });
        confined(Network::None, || {
            assert!(TcpStream::connect("127.0.0.1:1").is_err());
            let error = TcpStream::connect("127.0.0.1:1").expect_err("no sockets");
            assert_eq!(error.raw_os_error(), Some(libc::ENOSYS));
        });
    }
}
