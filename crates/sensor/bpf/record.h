/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Records, maps, and how records are filled; the programs are in sensor.bpf.c. */
#ifndef HINOMI_RECORD_H
#define HINOMI_RECORD_H

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

#endif
