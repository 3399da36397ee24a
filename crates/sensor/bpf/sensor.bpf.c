// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Hinomi collector, back end A: what a kernel without LSM and fentry programs lets us see.
 *
 * Every record starts with struct head; sections of variable length follow: u16 tag, u16 length,
 * bytes, padded to 4. Paths are written leaf first as NUL-terminated names, and turned round in user
 * space. The reader is src/collect/record.rs; both change together.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum kind {
	KIND_EXEC = 1,
	KIND_FORK,
	KIND_EXIT,
	KIND_OPEN,
	KIND_CLOSE,
	KIND_UNLINK,
	KIND_RENAME,
	KIND_LINK,
	KIND_SYMLINK,
	KIND_CONNECT,
	KIND_DNS,
	KIND_TASK,
	KIND_MAX,
};

enum tag {
	TAG_EXE = 1,
	TAG_CWD,
	TAG_FILENAME,
	TAG_INTERP,
	TAG_ARGS,
	TAG_PATH,
	TAG_BASE,
	TAG_NAME,
	TAG_BASE2,
	TAG_NAME2,
	TAG_ADDRESS,
	TAG_PAYLOAD,
	TAG_COMM,
};

#define FLAG_CREATED 1
#define FLAG_TRUNCATED 2

#define DATA_CAP 16384 /* where sections may start; power of two */
#define ARGS_MAX 8191
#define NAME_BYTES 256 /* a path component with its NUL */
#define PATH_BYTES 4096
#define DEPTH_MAX 96
#define DNS_BYTES 512

#define FMODE_WRITE 0x2
#define FMODE_CREATED 0x100000
#define S_IFMT 0170000
#define S_IFREG 0100000
#define AT_FDCWD -100
#define AT_REMOVEDIR 0x200
#define SIGNAL_GROUP_EXIT 4
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define DNS_PORT 53
#define REPEAT_NS (60ULL * 1000000000)

struct head {
	u32 kind;
	u32 flags;
	u64 time_ns; /* since boot, sleep included */
	u32 tgid;
	u32 tid;
	u64 start_ns; /* of the process, since boot */
	u32 ppid;
	u32 uid;
	u64 parent_start_ns;
	u32 gid;
	u32 euid;
	u32 mount_ns;
	u32 reserved;
	u64 cgroup;
	/* the file the record is about */
	u64 dev;
	u64 ino;
	u64 size;
	u64 mtime_ns;
	u64 ctime_ns;
	u32 mode;
	u32 nlink;
	s64 value; /* exit code */
};

struct scratch {
	struct head head;
	u8 data[DATA_CAP + ARGS_MAX + 1];
};

struct address {
	u8 bytes[16];
	u16 family;
	u16 port;
	u32 protocol;
};

struct connect_record {
	struct head head;
	u32 tag;
	struct address address;
};

struct dns_record {
	struct head head;
	u32 address_tag;
	struct address address;
	u32 payload_tag;
	u8 payload[DNS_BYTES];
};

struct call {
	u64 args[4];
};

struct repeat_key {
	struct address address;
	u32 tgid;
	u32 zero;
};

/* Set before loading. */
const volatile u32 scope_mount_ns SEC(".rodata.scope") = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} ring SEC(".maps");

/* Only programs that run with preemption off use it: tracepoints, never cgroup programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratch_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KIND_MAX);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u8);
} excluded SEC(".maps");

/* Arguments of the call a thread is in. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct call);
} calls SEC(".maps");

/* When a process last sent a datagram to an address. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct repeat_key);
	__type(value, u64);
} repeats SEC(".maps");

static __always_inline void count_lost(u32 kind)
{
	u64 *count = bpf_map_lookup_elem(&lost, &kind);

	if (count)
		*count += 1;
}

static __always_inline u32 mount_ns_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
}

static __always_inline bool in_scope(struct task_struct *task)
{
	u32 tgid = BPF_CORE_READ(task, tgid);

	if (bpf_map_lookup_elem(&excluded, &tgid))
		return false;
	return !scope_mount_ns || mount_ns_of(task) == scope_mount_ns;
}

static __always_inline void fill_head(struct head *head, struct task_struct *task, u32 kind)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);

	head->kind = kind;
	head->flags = 0;
	head->time_ns = bpf_ktime_get_boot_ns();
	head->tgid = BPF_CORE_READ(task, tgid);
	head->tid = BPF_CORE_READ(task, pid);
	head->start_ns = BPF_CORE_READ(leader, start_boottime);
	head->ppid = BPF_CORE_READ(parent, tgid);
	head->parent_start_ns = BPF_CORE_READ(parent, group_leader, start_boottime);
	head->uid = BPF_CORE_READ(task, cred, uid.val);
	head->gid = BPF_CORE_READ(task, cred, gid.val);
	head->euid = BPF_CORE_READ(task, cred, euid.val);
	head->mount_ns = mount_ns_of(task);
	head->reserved = 0;
	head->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	head->dev = 0;
	head->ino = 0;
	head->size = 0;
	head->mtime_ns = 0;
	head->ctime_ns = 0;
	head->mode = 0;
	head->nlink = 0;
	head->value = 0;
}

static __always_inline u64 ctime_of(struct inode *inode)
{
	struct inode___ctime_split *split = (void *)inode;
	struct inode___ctime_hidden *hidden = (void *)inode;
	struct inode___ctime_plain *plain = (void *)inode;

	/* since 6.13 the top bit of the nanoseconds says "was queried" */
	if (bpf_core_field_exists(split->i_ctime_sec))
		return BPF_CORE_READ(split, i_ctime_sec) * 1000000000ULL +
		       (BPF_CORE_READ(split, i_ctime_nsec) & 0x7fffffff);
	if (bpf_core_field_exists(hidden->__i_ctime))
		return BPF_CORE_READ(hidden, __i_ctime.tv_sec) * 1000000000ULL +
		       BPF_CORE_READ(hidden, __i_ctime.tv_nsec);
	if (bpf_core_field_exists(plain->i_ctime))
		return BPF_CORE_READ(plain, i_ctime.tv_sec) * 1000000000ULL +
		       BPF_CORE_READ(plain, i_ctime.tv_nsec);
	return 0;
}

static __always_inline u64 mtime_of(struct inode *inode)
{
	struct inode___mtime_split *split = (void *)inode;
	struct inode___mtime_hidden *hidden = (void *)inode;
	struct inode___mtime_plain *plain = (void *)inode;

	if (bpf_core_field_exists(split->i_mtime_sec))
		return BPF_CORE_READ(split, i_mtime_sec) * 1000000000ULL +
		       BPF_CORE_READ(split, i_mtime_nsec);
	if (bpf_core_field_exists(hidden->__i_mtime))
		return BPF_CORE_READ(hidden, __i_mtime.tv_sec) * 1000000000ULL +
		       BPF_CORE_READ(hidden, __i_mtime.tv_nsec);
	if (bpf_core_field_exists(plain->i_mtime))
		return BPF_CORE_READ(plain, i_mtime.tv_sec) * 1000000000ULL +
		       BPF_CORE_READ(plain, i_mtime.tv_nsec);
	return 0;
}

static __always_inline void fill_file(struct head *head, struct inode *inode)
{
	head->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	head->ino = BPF_CORE_READ(inode, i_ino);
	head->size = BPF_CORE_READ(inode, i_size);
	head->mtime_ns = mtime_of(inode);
	head->ctime_ns = ctime_of(inode);
	head->mode = BPF_CORE_READ(inode, i_mode);
	head->nlink = BPF_CORE_READ(inode, i_nlink);
}

/* Kernel state that looks like files: not what a file event is about. */
static __always_inline bool is_noise(unsigned long magic)
{
	switch (magic) {
	case 0x9fa0: /* proc */
	case 0x62656572: /* sysfs */
	case 0x64626720: /* debugfs */
	case 0x74726163: /* tracefs */
	case 0x27e0eb: /* cgroup */
	case 0x63677270: /* cgroup2 */
	case 0xcafe4a11: /* bpf */
	case 0x73636673: /* securityfs */
	case 0xf97cff8c: /* selinuxfs */
	case 0x43415d53: /* smackfs */
	case 0x1cd1: /* devpts */
	case 0x50495045: /* pipefs */
	case 0x534f434b: /* sockfs */
	case 0x09041934: /* anonymous inodes */
	case 0x19800202: /* mqueue */
	case 0xde5e81e4: /* efivarfs */
	case 0x62656570: /* configfs */
	case 0x42494e4d: /* binfmt_misc */
	case 0x6e736673: /* nsfs */
		return true;
	}
	return false;
}

static __always_inline bool is_written_file(struct file *file)
{
	struct inode *inode;

	if (!file || !(BPF_CORE_READ(file, f_mode) & FMODE_WRITE))
		return false;
	inode = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return false;
	return !is_noise(BPF_CORE_READ(inode, i_sb, s_magic));
}

static __always_inline struct file *file_of(struct task_struct *task, u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **slots = BPF_CORE_READ(table, fd);
	struct file *file = 0;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]);
	return file;
}

/* --- sections ------------------------------------------------------------------------------ */

/* Hides what clang knows of a value, so that the mask after it is kept for the verifier. */
#define forget(value) asm volatile("" : "+r"(value))

static __always_inline u32 at(u32 pos)
{
	forget(pos);
	return pos & (DATA_CAP - 1);
}

static __always_inline bool has_room(struct scratch *s, u32 pos)
{
	if (pos < DATA_CAP - 2 * NAME_BYTES)
		return true;
	s->head.flags |= FLAG_TRUNCATED;
	return false;
}

static __always_inline u32 end_section(struct scratch *s, u32 start, u32 end, u32 tag)
{
	*(u32 *)&s->data[at(start)] = tag | (end - start - 4) << 16;
	return (end + 3) & ~3U;
}

struct walk {
	u64 dentry;
	u64 mount;
	u32 pos;
	u32 cut;
};

static long walk_step(u32 index, struct walk *walk)
{
	u32 zero = 0, pos = walk->pos;
	struct dentry *dentry = (void *)walk->dentry;
	struct vfsmount *mount = (void *)walk->mount;
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	struct scratch *s = bpf_map_lookup_elem(&scratch_map, &zero);
	long len;

	if (!s)
		return 1;
	if (dentry == BPF_CORE_READ(mount, mnt_root) || dentry == parent) {
		struct mount *here = (void *)(walk->mount - bpf_core_field_offset(struct mount, mnt));
		struct mount *above = BPF_CORE_READ(here, mnt_parent);

		if (above == here || !above)
			return 1;
		walk->dentry = (u64)BPF_CORE_READ(here, mnt_mountpoint);
		walk->mount = (u64)above + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	if (pos >= DATA_CAP - NAME_BYTES) {
		walk->cut = 1;
		return 1;
	}
	len = bpf_probe_read_kernel_str(&s->data[at(pos)], NAME_BYTES, BPF_CORE_READ(dentry, d_name.name));
	if (len <= 0) {
		walk->cut = 1;
		return 1;
	}
	walk->pos = pos + len;
	walk->dentry = (u64)parent;
	return 0;
}

static __always_inline u32 put_path(struct scratch *s, u32 pos, u32 tag, struct vfsmount *mount,
				    struct dentry *dentry)
{
	struct walk walk = { .dentry = (u64)dentry, .mount = (u64)mount, .pos = pos + 4 };
	u32 end;

	if (!has_room(s, pos) || !dentry || !mount)
		return pos;
	if (bpf_loop(DEPTH_MAX, walk_step, &walk, 0) == DEPTH_MAX || walk.cut)
		s->head.flags |= FLAG_TRUNCATED;
	end = walk.pos;
	forget(end);
	if (end > DATA_CAP)
		return pos;
	return end_section(s, pos, end, tag);
}

static __always_inline u32 put_file_path(struct scratch *s, u32 pos, u32 tag, struct file *file)
{
	return put_path(s, pos, tag, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry));
}

static __always_inline u32 put_cwd(struct scratch *s, u32 pos, u32 tag, struct task_struct *task)
{
	struct fs_struct *fs = BPF_CORE_READ(task, fs);

	return put_path(s, pos, tag, BPF_CORE_READ(fs, pwd.mnt), BPF_CORE_READ(fs, pwd.dentry));
}

static __always_inline u32 put_kernel_text(struct scratch *s, u32 pos, u32 tag, const char *text)
{
	long len;

	if (!has_room(s, pos))
		return pos;
	len = bpf_probe_read_kernel_str(&s->data[at(pos + 4)], PATH_BYTES, text);
	if (len <= 0 || len > PATH_BYTES)
		return pos;
	return end_section(s, pos, pos + 4 + len, tag);
}

static __always_inline u32 put_user_text(struct scratch *s, u32 pos, u32 tag, u64 text)
{
	long len;

	if (!has_room(s, pos))
		return pos;
	len = bpf_probe_read_user_str(&s->data[at(pos + 4)], PATH_BYTES, (void *)text);
	if (len <= 0 || len > PATH_BYTES) {
		s->head.flags |= FLAG_TRUNCATED;
		return pos;
	}
	return end_section(s, pos, pos + 4 + len, tag);
}

/* The folder a relative path starts from; nothing for an absolute path. */
static __always_inline u32 put_base(struct scratch *s, u32 pos, u32 tag, struct task_struct *task, int dirfd,
				    u64 name)
{
	char first = 0;

	bpf_probe_read_user(&first, 1, (void *)name);
	if (first == '/')
		return pos;
	if (dirfd == AT_FDCWD)
		return put_cwd(s, pos, tag, task);
	struct file *dir = file_of(task, dirfd);
	if (!dir)
		return pos;
	return put_file_path(s, pos, tag, dir);
}

static __always_inline u32 put_args(struct scratch *s, u32 pos, struct task_struct *task)
{
	u64 start = BPF_CORE_READ(task, mm, arg_start);
	u64 bytes = BPF_CORE_READ(task, mm, arg_end) - start;
	u32 len = bytes > ARGS_MAX ? ARGS_MAX : bytes;

	if (!has_room(s, pos) || !start)
		return pos;
	if (bytes > ARGS_MAX)
		s->head.flags |= FLAG_TRUNCATED;
	forget(len);
	len &= ARGS_MAX;
	if (bpf_probe_read_user(&s->data[at(pos + 4)], len, (void *)start)) {
		/* a page is not there: take what the first page holds */
		len = 4096 - (start & 4095);
		s->head.flags |= FLAG_TRUNCATED;
		forget(len);
		len &= ARGS_MAX;
		if (bpf_probe_read_user(&s->data[at(pos + 4)], len, (void *)start))
			return pos;
	}
	return end_section(s, pos, pos + 4 + len, TAG_ARGS);
}

static __always_inline void send(struct scratch *s, u32 pos)
{
	u32 len = sizeof(struct head) + pos;

	forget(len);
	if (len > sizeof(*s) || bpf_ringbuf_output(&ring, s, len, 0))
		count_lost(s->head.kind);
}

static __always_inline struct scratch *begin(struct task_struct *task, u32 kind)
{
	u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratch_map, &zero);

	if (s)
		fill_head(&s->head, task, kind);
	return s;
}

/* --- processes ----------------------------------------------------------------------------- */

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct file *file = BPF_CORE_READ(bprm, file);
	struct scratch *s;
	u32 pos = 0;

	if (!in_scope(task) || !(s = begin(task, KIND_EXEC)))
		return 0;
	fill_file(&s->head, BPF_CORE_READ(file, f_inode));
	pos = put_file_path(s, pos, TAG_EXE, file);
	pos = put_cwd(s, pos, TAG_CWD, task);
	pos = put_kernel_text(s, pos, TAG_FILENAME, BPF_CORE_READ(bprm, filename));
	pos = put_kernel_text(s, pos, TAG_INTERP, BPF_CORE_READ(bprm, interp));
	pos = put_args(s, pos, task);
	send(s, pos);
	return 0;
}

static __always_inline void send_head(struct head *head)
{
	if (bpf_ringbuf_output(&ring, head, sizeof(*head), 0))
		count_lost(head->kind);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct head head;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid) || !in_scope(child))
		return 0;
	fill_head(&head, child, KIND_FORK);
	send_head(&head);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct head head;

	if (BPF_CORE_READ(signal, live.counter) != 0 || !in_scope(task))
		return 0;
	fill_head(&head, task, KIND_EXIT);
	head.value = BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT ? BPF_CORE_READ(signal, group_exit_code) :
									BPF_CORE_READ(task, exit_code);
	send_head(&head);
	return 0;
}

/* What runs already: one record per process, read as a file by user space. */
SEC("iter/task")
int all_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct {
		struct head head;
		u32 tag;
		char comm[16];
	} out;

	if (!task || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	__builtin_memset(&out, 0, sizeof(out));
	fill_head(&out.head, task, KIND_TASK);
	out.tag = TAG_COMM | sizeof(out.comm) << 16;
	bpf_probe_read_kernel(out.comm, sizeof(out.comm), &task->comm);
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	return 0;
}

/* Run on demand by the sensor's own thread: how many have its file `args[0]` open for writing. */
SEC("raw_tp")
int count_writers(struct bpf_raw_tracepoint_args *ctx)
{
	struct file *file = file_of((void *)bpf_get_current_task(), ctx->args[0]);
	int writers;

	if (!file)
		return 0;
	writers = BPF_CORE_READ(file, f_inode, i_writecount.counter);
	/* below zero: nobody writes and nobody may, it is being executed */
	return writers > 0 ? writers : 0;
}

/* --- files --------------------------------------------------------------------------------- */

/* Attached to every open call's end. */
SEC("tp")
int after_open(struct trace_event_raw_sys_exit *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s;
	struct file *file;

	if (ctx->ret < 0)
		return 0;
	file = file_of(task, ctx->ret);
	if (!is_written_file(file) || !in_scope(task) || !(s = begin(task, KIND_OPEN)))
		return 0;
	fill_file(&s->head, BPF_CORE_READ(file, f_inode));
	if (BPF_CORE_READ(file, f_mode) & FMODE_CREATED)
		s->head.flags |= FLAG_CREATED;
	send(s, put_file_path(s, 0, TAG_PATH, file));
	return 0;
}

static __always_inline int closing(u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file *file = file_of(task, fd);
	struct head head;

	if (!is_written_file(file) || !in_scope(task))
		return 0;
	fill_head(&head, task, KIND_CLOSE);
	fill_file(&head, BPF_CORE_READ(file, f_inode));
	send_head(&head);
	return 0;
}

SEC("tp")
int before_close(struct trace_event_raw_sys_enter *ctx)
{
	return closing(ctx->args[0]);
}

/* dup2 and dup3 close their second argument. */
SEC("tp")
int before_dup(struct trace_event_raw_sys_enter *ctx)
{
	return closing(ctx->args[1]);
}

/*
 * The end of a call wants to know what was asked. A program may only read as many arguments as the
 * tracepoint has, hence one program per number of arguments.
 */
static __always_inline int remember(struct call *call)
{
	u64 thread = bpf_get_current_pid_tgid();

	if (in_scope((void *)bpf_get_current_task()))
		bpf_map_update_elem(&calls, &thread, call, BPF_ANY);
	return 0;
}

SEC("tp")
int before_call1(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = { .args = { ctx->args[0] } };

	return remember(&call);
}

SEC("tp")
int before_call2(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = { .args = { ctx->args[0], ctx->args[1] } };

	return remember(&call);
}

SEC("tp")
int before_call3(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = { .args = { ctx->args[0], ctx->args[1], ctx->args[2] } };

	return remember(&call);
}

SEC("tp")
int before_call4(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = { .args = { ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3] } };

	return remember(&call);
}

static __always_inline bool take_call(struct trace_event_raw_sys_exit *ctx, struct call *call)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct call *found = bpf_map_lookup_elem(&calls, &thread);

	if (!found)
		return false;
	*call = *found;
	bpf_map_delete_elem(&calls, &thread);
	return ctx->ret == 0;
}

static __always_inline int removed(int dirfd, u64 name)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = begin(task, KIND_UNLINK);
	u32 pos = 0;

	if (!s)
		return 0;
	pos = put_base(s, pos, TAG_BASE, task, dirfd, name);
	pos = put_user_text(s, pos, TAG_NAME, name);
	send(s, pos);
	return 0;
}

static __always_inline int named_twice(u32 kind, int dirfd, u64 name, int dirfd2, u64 name2)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = begin(task, kind);
	u32 pos = 0;

	if (!s)
		return 0;
	if (kind != KIND_SYMLINK)
		pos = put_base(s, pos, TAG_BASE, task, dirfd, name);
	pos = put_user_text(s, pos, TAG_NAME, name);
	pos = put_base(s, pos, TAG_BASE2, task, dirfd2, name2);
	pos = put_user_text(s, pos, TAG_NAME2, name2);
	send(s, pos);
	return 0;
}

SEC("tp")
int after_unlink(struct trace_event_raw_sys_exit *ctx)
{
	struct call call;

	return take_call(ctx, &call) ? removed(AT_FDCWD, call.args[0]) : 0;
}

SEC("tp")
int after_unlinkat(struct trace_event_raw_sys_exit *ctx)
{
	struct call call;

	if (!take_call(ctx, &call) || call.args[2] & AT_REMOVEDIR)
		return 0;
	return removed(call.args[0], call.args[1]);
}

SEC("tp")
int after_rename(struct trace_event_raw_sys_exit *ctx)
{
	struct call call;

	return take_call(ctx, &call) ? named_twice(KIND_RENAME, AT_FDCWD, call.args[0], AT_FDCWD, call.args[1]) : 0;
}

/* Also renameat2. */
SEC("tp")
int after_renameat(struct trace_event_raw_sys_exit *ctx)
{
	struct call call;

	if (!take_call(ctx, &call))
		return 0;
	return named_twice(KIND_RENAME, call.args[0], call.args[1], call.args[2], call.args[3]);
}

SEC("tp")
int after_link(struct trace_event_raw_sys_exit *ctx)
{
	struct call call;

	return take_call(ctx, &call) ? named_twice(KIND_LINK, AT_FDCWD, call.args[0], AT_FDCWD, call.args[1]) : 0;
}

SEC("tp")
int after_linkat(struct trace_event_raw_sys_exit *ctx)
{
	struct call call;

	if (!take_call(ctx, &call))
		return 0;
	return named_twice(KIND_LINK, call.args[0], call.args[1], call.args[2], call.args[3]);
}

SEC("tp")
int after_symlink(struct trace_event_raw_sys_exit *ctx)
{
	struct call call;

	return take_call(ctx, &call) ? named_twice(KIND_SYMLINK, 0, call.args[0], AT_FDCWD, call.args[1]) : 0;
}

SEC("tp")
int after_symlinkat(struct trace_event_raw_sys_exit *ctx)
{
	struct call call;

	return take_call(ctx, &call) ? named_twice(KIND_SYMLINK, 0, call.args[0], call.args[1], call.args[2]) : 0;
}

/* --- network ------------------------------------------------------------------------------- */

/* Cgroup programs can be preempted: they fill their record in the ring, not in the scratch. */
static __always_inline void send_address(struct task_struct *task, struct address *address)
{
	struct connect_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count_lost(KIND_CONNECT);
		return;
	}
	fill_head(&record->head, task, KIND_CONNECT);
	record->tag = TAG_ADDRESS | sizeof(*address) << 16;
	record->address = *address;
	bpf_ringbuf_submit(record, 0);
}

static __always_inline void read_address(struct bpf_sock_addr *ctx, struct address *address, bool is_v6)
{
	u32 *words = (u32 *)address->bytes;

	if (is_v6) {
		words[0] = ctx->user_ip6[0];
		words[1] = ctx->user_ip6[1];
		words[2] = ctx->user_ip6[2];
		words[3] = ctx->user_ip6[3];
	} else {
		words[0] = ctx->user_ip4;
	}
	address->family = is_v6 ? 10 : 2;
	address->port = __builtin_bswap16(ctx->user_port);
	address->protocol = ctx->protocol;
}

/* Names asked over UDP are told by the packet itself; port 0 is a route question of getaddrinfo. */
static __always_inline bool is_of_interest(struct address *address)
{
	if (address->protocol == IPPROTO_TCP)
		return true;
	return address->protocol == IPPROTO_UDP && address->port != DNS_PORT && address->port != 0;
}

static __always_inline int connecting(struct bpf_sock_addr *ctx, bool is_v6)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct address address = {};

	read_address(ctx, &address, is_v6);
	if (is_of_interest(&address) && in_scope(task))
		send_address(task, &address);
	return 1;
}

static __always_inline int sending(struct bpf_sock_addr *ctx, bool is_v6)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 now = bpf_ktime_get_boot_ns(), *last;
	struct repeat_key key = {};

	read_address(ctx, &key.address, is_v6);
	if (!is_of_interest(&key.address) || !in_scope(task))
		return 1;
	key.tgid = BPF_CORE_READ(task, tgid);
	last = bpf_map_lookup_elem(&repeats, &key);
	if (last && now - *last < REPEAT_NS)
		return 1;
	bpf_map_update_elem(&repeats, &key, &now, BPF_ANY);
	send_address(task, &key.address);
	return 1;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx)
{
	return connecting(ctx, false);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *ctx)
{
	return connecting(ctx, true);
}

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *ctx)
{
	return sending(ctx, false);
}

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *ctx)
{
	return sending(ctx, true);
}

/*
 * Names asked over UDP port 53. The task is read as a kernel structure: 6.1 has no pid helper for
 * this program type. A packet sent later by the kernel's own thread would name that thread; UDP
 * without a queue leaves in the caller's context.
 */
SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	struct task_struct *task;
	struct dns_record *record;
	struct address address = {};
	u8 first = 0, protocol = 0;
	u16 port = 0, fragment = 0;
	u32 udp;
	u64 len;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return 1;
	if (first >> 4 == 4) {
		bpf_skb_load_bytes(skb, 9, &protocol, 1);
		bpf_skb_load_bytes(skb, 6, &fragment, 2);
		udp = (first & 15) * 4;
	} else {
		bpf_skb_load_bytes(skb, 6, &protocol, 1);
		udp = 40;
	}
	if (protocol != IPPROTO_UDP || fragment & __builtin_bswap16(0x1fff))
		return 1;
	if (bpf_skb_load_bytes(skb, udp + 2, &port, 2) || port != __builtin_bswap16(DNS_PORT))
		return 1;
	task = (void *)bpf_get_current_task();
	if (skb->len < udp + 8 + 12 || !in_scope(task))
		return 1;
	if (first >> 4 == 4) {
		bpf_skb_load_bytes(skb, 16, address.bytes, 4);
		address.family = 2;
	} else {
		bpf_skb_load_bytes(skb, 24, address.bytes, 16);
		address.family = 10;
	}
	address.port = DNS_PORT;
	address.protocol = IPPROTO_UDP;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count_lost(KIND_DNS);
		return 1;
	}
	fill_head(&record->head, task, KIND_DNS);
	record->address_tag = TAG_ADDRESS | sizeof(address) << 16;
	record->address = address;
	len = skb->len - udp - 8;
	if (len > DNS_BYTES)
		len = DNS_BYTES;
	forget(len);
	len &= 2 * DNS_BYTES - 1;
	if (len < 12 || len > DNS_BYTES || bpf_skb_load_bytes(skb, udp + 8, record->payload, len)) {
		bpf_ringbuf_discard(record, 0);
		return 1;
	}
	record->payload_tag = TAG_PAYLOAD | len << 16;
	bpf_ringbuf_submit(record, 0);
	return 1;
}
