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

#include "record.h"

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
