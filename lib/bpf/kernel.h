/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The structures of the kernel, each defined once, with the fields that some program reads. CO-RE
 * finds a field by the names of the structure and of the field, so the order and the sizes here
 * have no meaning. The versions are noted where only some kernels have a structure or a field. A
 * field that a program does not read is not relocated: a program may include all of this, and loads
 * where parts of it are missing.
 *
 * A flavour (struct x___61) follows its structure, and exists only where one field is of two types.
 */
#ifndef BPFREFS_BPF_KERNEL_H
#define BPFREFS_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#define __pai __attribute__((preserve_access_index))

/* -------------------------------------------------- counters and lists --- */

typedef struct {
	int counter;
} __pai atomic_t;

typedef struct {
	__s64 counter;
} __pai atomic64_t;

typedef struct {
	struct {
		int counter;
	} refs;
} __pai refcount_t;

struct seqcount {
	__u32 sequence;
} __pai;

struct list_head {
	struct list_head *next, *prev;
} __pai;

struct hlist_node {
	struct hlist_node *next, **pprev;
} __pai;

struct hlist_head {
	struct hlist_node *first;
} __pai;

struct hlist_bl_node {
	struct hlist_bl_node *next, **pprev;
} __pai;

struct hlist_nulls_node {
	struct hlist_nulls_node *next, **pprev;
} __pai;

struct hlist_nulls_head {
	struct hlist_nulls_node *first;
} __pai;

struct rb_node {
	unsigned long __rb_parent_color;
	struct rb_node *rb_right, *rb_left;
} __pai;

struct rb_root {
	struct rb_node *rb_node;
} __pai;

struct rb_root_cached {
	struct rb_root rb_root;
	struct rb_node *rb_leftmost;
} __pai;

struct xarray {
	void *xa_head;
} __pai;

struct xa_node {
	unsigned char shift;
	struct xarray *array;
	void *slots[64]; /* XA_CHUNK_SIZE: 16 with CONFIG_BASE_SMALL */
} __pai;

struct idr {
	struct xarray idr_rt;
} __pai;

struct lockref {
	union {
		struct {
			int count;
		};
	};
} __pai;

struct ptr_ring {
	int consumer_head, size;
	void **queue;
} __pai;

struct skb_array {
	struct ptr_ring ring;
} __pai;

/* -------------------------------------------------------------- objects --- */

struct btf_struct_meta {
	__u32 btf_id;
	struct btf_record *record;
} __pai;

struct btf_struct_metas {
	__u32 cnt;
	struct btf_struct_meta types[0];
} __pai;

struct btf {
	struct btf_type **types;
	const char *strings;
	__u32 nr_types;
	refcount_t refcnt;
	__u32 id;
	bool kernel_btf;
	char name[56];
	struct btf_struct_metas *struct_meta_tab; /* since 6.2 */
} __pai;

struct btf_type {
	__u32 name_off, info;
} __pai;

struct btf_field_kptr {
	struct btf *btf;
} __pai;

/* Values differ between versions: always read by bpf_core_enum_value(). */
enum btf_field_type {
	BPF_TIMER = 2,
	BPF_KPTR_UNREF,
	BPF_KPTR_REF,
	BPF_KPTR_PERCPU, /* since 6.6 */
	BPF_WORKQUEUE,	 /* since 6.10 */
	BPF_UPTR,	 /* since 6.13 */
	BPF_TASK_WORK,	 /* since 6.18 */
};

struct btf_field {
	enum btf_field_type type;
	struct btf_field_kptr kptr;
} __pai;

struct btf_record { /* since 6.2 */
	__u32 cnt;
	__u32 field_mask;
	int timer_off;
	int wq_off;	   /* since 6.10 */
	int task_work_off; /* since 6.18 */
	struct btf_field fields[];
} __pai;

struct bpf_map_value_off_desc {	    /* until 6.1 */
	struct btf_field_kptr kptr; /* of an anonymous type there */
} __pai;

struct bpf_map_value_off { /* until 6.1 */
	__u32 nr_off;
	struct bpf_map_value_off_desc off[0];
} __pai;

struct bpf_map {
	enum bpf_map_type map_type;
	__u32 key_size, value_size, max_entries, map_flags, id;
	__u64 map_extra;
	__u32 btf_key_type_id, btf_value_type_id, btf_vmlinux_value_type_id;
	struct btf *btf;
	struct bpf_map *inner_map_meta;
	struct btf_record *record;		/* since 6.2 */
	struct bpf_map_value_off *kptr_off_tab; /* until 6.1 */
	int timer_off;				/* until 6.1 */
	struct obj_cgroup *objcg;		/* with CONFIG_MEMCG */
	atomic64_t refcnt, usercnt;
	char name[16];
} __pai;

struct bpf_prog {
	enum bpf_prog_type type;
	struct bpf_prog_aux *aux;
} __pai;

struct btf_mod_pair {
	struct btf *btf;
} __pai;

struct bpf_kfunc_btf {
	struct btf *btf;
} __pai;

struct bpf_kfunc_btf_tab {
	struct bpf_kfunc_btf descs[256];
	__u32 nr_descs;
} __pai;

struct bpf_prog_aux {
	atomic64_t refcnt;
	__u32 id, used_map_cnt, used_btf_cnt, attach_btf_id;
	struct bpf_map **used_maps;
	struct btf_mod_pair *used_btfs;
	struct btf *btf, *attach_btf;
	struct bpf_prog *dst_prog;
	const char *attach_func_name;
	struct bpf_kfunc_btf_tab *kfunc_btf_tab;
	struct bpf_map *st_ops_assoc; /* since 7.0 */
	char name[16];
	struct bpf_func_info *func_info;
} __pai;

struct bpf_link {
	atomic64_t refcnt;
	__u32 id;
	enum bpf_link_type type;
	struct bpf_prog *prog;
} __pai;

struct bpf_iter_aux_info {
	struct bpf_map *map;
} __pai;

struct bpf_iter_link {
	struct bpf_link link;
	struct bpf_iter_aux_info aux;
} __pai;

struct sockmap_link { /* since 6.10 */
	struct bpf_map *map;
} __pai;

struct bpf_struct_ops_link { /* since 6.4 */
	struct bpf_map *map;
} __pai;

struct bpf_trampoline {
	__u64 key; /* the lower 31 bits: the BTF id of the function (bpf_trampoline_compute_key()) */
} __pai;

struct bpf_tracing_link {
	struct bpf_trampoline *trampoline;
	struct bpf_prog *tgt_prog;
} __pai;

struct bpf_netns_link {
	struct net *net;
} __pai;

struct bpf_nf_link { /* since 6.4 */
	struct net *net;
	__u32 dead;
} __pai;

struct tcx_link { /* since 6.6 */
	struct net_device *dev;
} __pai;

struct netkit_link { /* since 6.7 */
	struct net_device *dev;
} __pai;

struct bpf_perf_link {
	struct file *perf_file;
} __pai;

struct bpf_xdp_link {
	struct bpf_link link;
	struct net_device *dev;
} __pai;

/* ------------------------------------------------------ iterators of BPF --- */

/* An open iterator: its seq_file's private is the target's own, at the end of the iterator's. */
struct seq_file {
	void *private;
} __pai;

struct bpf_iter_reg {
	const char *target;
} __pai;

struct bpf_iter_target_info {
	const struct bpf_iter_reg *reg_info;
} __pai;

struct bpf_iter_priv_data {
	struct bpf_iter_target_info *tinfo;
	struct bpf_prog *prog;
	__u8 target_private[];
} __pai;

struct bpf_iter_meta {
	__u64 session_id;
} __pai;

struct bpf_iter__bpf_map {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct bpf_map *, map);
} __pai;

struct bpf_iter__bpf_prog {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct bpf_prog *, prog);
} __pai;

struct bpf_iter__bpf_link {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct bpf_link *, link);
} __pai;

struct bpf_iter__task {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct task_struct *, task);
} __pai;

struct bpf_iter__task_vma {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct task_struct *, task);
	__bpf_md_ptr(struct vm_area_struct *, vma);
} __pai;

/* The state of an open-coded iterator, on the stack of the program (since 6.7). */
struct bpf_iter_task_vma {
	__u64 opaque;
};

/* ---------------------------------------------------------- types of maps --- */

/* Since Linux 6.4 the memory of a map is what this says; before, it is computed from its sizes. */
struct bpf_map_ops {
	void *map_mem_usage;
} __pai;

struct bpf_array {
	struct bpf_map map;
	__u32 elem_size;
	char value[0]; /* value, ptrs and pptrs are at the same place */
	void *ptrs[0], *pptrs[0];
} __pai;

struct bucket {
	struct hlist_nulls_head head;
} __pai;

struct bpf_htab {
	struct bucket *buckets;
	__u32 n_buckets;
} __pai;

struct htab_elem {
	struct hlist_nulls_node hash_node;
	char key[0];
} __pai;

struct bpf_dtab_netdev {
	struct hlist_node index_hlist;
	struct bpf_prog *xdp_prog;
	unsigned int idx;
} __pai;

struct bpf_dtab {
	struct bpf_dtab_netdev **netdev_map;
	struct hlist_head *dev_index_head; /* of devmap_hash */
	__u32 n_buckets;
} __pai;

struct bpf_cpu_map_entry {
	struct bpf_prog *prog;
} __pai;

struct bpf_cpu_map {
	struct bpf_cpu_map_entry **cpu_map;
} __pai;

struct xsk_map {
	struct bpf_map map;
	struct xdp_sock *xsk_map[0];
} __pai;

struct xsk_map_node {
	struct list_head node;
	struct xsk_map *map;
	struct xdp_sock **map_entry;
} __pai;

struct bpf_event_entry {
	struct perf_event *event;
} __pai;

struct sk_psock_progs {
	struct bpf_prog *msg_parser, *stream_parser, *stream_verdict, *skb_verdict;
	/* the links that attached these, since 6.10 */
	struct bpf_link *msg_parser_link, *stream_parser_link, *stream_verdict_link,
		*skb_verdict_link;
} __pai;

struct bpf_stab { /* a sockmap */
	struct sk_psock_progs progs;
} __pai;

struct bpf_shtab { /* a sockhash */
	struct sk_psock_progs progs;
} __pai;

/* Callbacks in values: timers, and since 6.10 work queues too. */
struct bpf_async_cb { /* since 6.10 */
	struct bpf_prog *prog;
} __pai;

struct bpf_hrtimer { /* until 6.9 with this field */
	struct bpf_prog *prog;
} __pai;

struct bpf_task_work_ctx { /* since 6.18 */
	struct bpf_prog *prog;
} __pai;

/* ----------------------------------------------------------- struct_ops --- */

enum bpf_struct_ops_state {
	BPF_STRUCT_OPS_STATE_INIT,
	BPF_STRUCT_OPS_STATE_INUSE,
	BPF_STRUCT_OPS_STATE_TOBEFREE,
};

struct bpf_struct_ops_common_value { /* since 6.9 */
	refcount_t refcnt;
	enum bpf_struct_ops_state state;
} __pai;

struct bpf_struct_ops_value {
	struct bpf_struct_ops_common_value common; /* since 6.9 */
	refcount_t refcnt;			   /* until 6.8 */
	enum bpf_struct_ops_state state;	   /* until 6.8 */
	char data[0];
} __pai;

struct bpf_struct_ops {
	const char *name;
	struct btf_type *type; /* until 6.8 */
} __pai;

struct bpf_struct_ops_desc { /* since 6.9 */
	struct bpf_struct_ops *st_ops;
} __pai;

struct bpf_struct_ops_map {
	struct bpf_map map;
	struct bpf_link **links;
	__u32 links_cnt; /* 6.9 to 6.12; before, as many as the type has members */
	__u32 funcs_cnt; /* since 6.13 */
	struct btf *btf; /* since 6.9; before, always that of vmlinux */
	struct bpf_struct_ops_desc *st_ops_desc; /* since 6.9 */
	struct bpf_struct_ops *st_ops;		 /* until 6.8 */
	struct bpf_struct_ops_value kvalue;
} __pai;

struct tcp_congestion_ops {
	char name[16];
	void *owner;
} __pai;

struct sched_ext_ops { /* since 6.12 */
	char name[128];
	void *priv; /* since 6.16 */
} __pai;

struct sched_ext_ops_cid { /* since 7.2 */
	char name[128];
	void *priv;
} __pai;

struct scx_sched {
	struct bpf_map *arena_map; /* since 7.2 */
} __pai;

/* ------------------------------------------------- tasks and namespaces --- */

struct ns_common {
	struct dentry *stashed; /* since 6.9 */
	const struct proc_ns_operations *ops;
	unsigned int inum;
	refcount_t count;    /* until 6.17 */
	refcount_t __ns_ref; /* since 6.18 */
	__u64 ns_id;	     /* since 6.18 */
} __pai;

struct ns_common___68 { /* until 6.8: the dentry */
	atomic64_t stashed;
} __pai;

struct mnt_namespace {
	struct ns_common ns;
	__u64 seq; /* until 6.17: its number, which no other one ever has */
	__u64 event;
} __pai;

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
} __pai;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *open_fds;
} __pai;

struct files_struct {
	struct fdtable *fdt;
} __pai;

struct mm_struct {
	struct kioctx_table *ioctx_table; /* with CONFIG_AIO */
	struct task_struct *owner;	  /* with CONFIG_MEMCG */
	atomic_t mm_users;
	int mm_lock_seq; /* 6.4 to 6.12, with CONFIG_PER_VMA_LOCK */
} __pai;

struct mm_struct___613 { /* since 6.13 */
	struct seqcount mm_lock_seq;
} __pai;

struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_pgoff;
	struct mm_struct *vm_mm;
	struct file *vm_file;
	struct {
		struct rb_node rb;
	} shared;
} __pai;

struct address_space {
	struct rb_root_cached i_mmap;
} __pai;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} __pai;

struct fs_struct {
	struct path root, pwd;
} __pai;

struct signal_struct {
	atomic_t live;
	struct list_head thread_head;
} __pai;

struct task_struct {
	int pid, tgid;
	char comm[16];
	__u64 start_boottime, self_exec_id;
	struct task_struct *real_parent, *group_leader;
	struct signal_struct *signal;
	struct list_head thread_node; /* in signal->thread_head: the leader first, then by age */
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
	struct io_uring_task *io_uring; /* with CONFIG_IO_URING */
} __pai;

/* -------------------------------------------------- files and filesystems --- */

struct file_operations {
	void *release;
} __pai;

struct file {
	unsigned int f_mode;
	struct file_operations *f_op;
	void *private_data;
	struct path f_path;
	struct inode *f_inode;
	struct address_space *f_mapping;
} __pai;

/* The private data of an open /proc/PID/mountinfo, mounts and mountstats: its seq_file's. */
struct proc_mounts {
	struct mnt_namespace *ns;
} __pai;

struct file_system_type {
	struct file_system_type *next; /* 6.18 and older */
	struct hlist_node list;	       /* 7.2 */
	struct hlist_head fs_supers;
} __pai;

struct super_block {
	__u32 s_dev;
	struct file_system_type *s_type;
	atomic_t s_active;
	struct list_head s_mounts; /* until 6.16 */
	struct list_head s_inodes;
	struct hlist_node s_instances;
} __pai;

struct super_block___617 { /* since 6.17: a singly linked list through the mounts themselves */
	struct mount *s_mounts;
} __pai;

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
} __pai;

struct mnt_pcp {
	int mnt_count;		  /* 6.18 and older */
	__u32 mnt_gets, mnt_puts; /* 7.2 */
} __pai;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_pcp *mnt_pcp; /* with CONFIG_SMP */
	int mnt_count;		 /* without */
	struct mnt_namespace *mnt_ns;
	struct list_head mnt_instance; /* until 6.16 */
	struct mount *mnt_next_for_sb; /* since 6.17 */
	struct list_head mnt_mounts, mnt_child;
} __pai;

struct timespec64 {
	__s64 tv_sec;
} __pai;

typedef struct {
	__u32 val;
} __pai kuid_t;

typedef struct {
	__u32 val;
} __pai kgid_t;

struct inode {
	unsigned short i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	const void *i_op;
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int i_nlink;
	struct timespec64 i_mtime;   /* until 6.6 */
	struct timespec64 __i_mtime; /* 6.7 to 6.10 */
	__s64 i_mtime_sec;	     /* since 6.11 */
	struct list_head i_sb_list;
	struct hlist_head i_dentry;
	void *i_private;
} __pai;

struct qstr {
	__u32 hash, len;
	const unsigned char *name;
} __pai;

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct inode *d_inode;
	struct qstr d_name;
	struct lockref d_lockref;
	union {
		struct hlist_node d_alias;
	} d_u; /* in 6.18; in 7.2 the union has no name any more */
} __pai;

struct dentry___72 { /* in 7.2 */
	struct hlist_node d_alias;
} __pai;

/* ----------------------------------------------- asynchronous I/O, io_uring --- */

struct io_event {
	__u64 obj; /* where the process has its struct iocb */
} __pai;

struct aio_kiocb {
	struct file *ki_filp;
	struct io_event ki_res;
	struct list_head ki_list;
} __pai;

struct kioctx { /* with CONFIG_AIO */
	struct list_head active_reqs;
} __pai;

struct kioctx_table {
	unsigned int nr;
	struct kioctx *table[0];
} __pai;

struct io_rsrc_node {
	unsigned long file_ptr; /* since 6.13 */
} __pai;

struct io_rsrc_data {
	unsigned int nr;
	struct io_rsrc_node **nodes; /* since 6.13 */
} __pai;

struct io_fixed_file { /* until 6.12: the slots are an array of pointers with flags */
	unsigned long file_ptr;
} __pai;

struct io_file_table {
	struct io_rsrc_data data;    /* since 6.13 */
	struct io_fixed_file *files; /* until 6.12 */
} __pai;

struct io_hash_bucket {
	struct hlist_head list;
} __pai;

struct io_hash_table {
	struct io_hash_bucket *hbs;
	unsigned int hash_bits;
} __pai;

struct io_ring_ctx { /* with CONFIG_IO_URING */
	struct io_file_table file_table;
	unsigned int nr_user_files; /* until 6.12 */
	struct io_hash_table cancel_table;
	struct io_hash_table cancel_table_locked; /* until 6.12: of requests of a locked ring */
} __pai;

struct io_kiocb {
	struct file *file;
	__u8 opcode;
	struct hlist_node hash_node;
} __pai;

#define IO_RINGFD_REG_MAX 16

struct io_uring_task {
	struct file *registered_rings[IO_RINGFD_REG_MAX];
} __pai;

/* -------------------------------------------------------------- cgroups --- */

struct kernfs_node {
	const char *name;
	__u64 id;
} __pai;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
	struct list_head sibling, children;
	unsigned int flags;
} __pai;

struct cgroup_bpf {
	/* as many as bpf_core_field_size() says; flags are u32 before 6.6 or so */
	struct hlist_head progs[1];
	__u8 flags[1];
} __pai;

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
	struct cgroup_bpf bpf; /* with CONFIG_CGROUP_BPF */
} __pai;

struct cgroup_root {
	struct cgroup cgrp;
} __pai;

struct mem_cgroup {
	struct cgroup_subsys_state css;
} __pai;

struct obj_cgroup {
	struct mem_cgroup *memcg;
} __pai;

struct css_set {
	struct cgroup *dfl_cgrp;
} __pai;

struct bpf_prog_list {
	struct hlist_node node;
	struct bpf_prog *prog;
	struct bpf_link *link;
} __pai;

/* Values differ between versions and configurations: always read by bpf_core_enum_value(). */
enum cgroup_bpf_attach_type {
	CGROUP_BPF_ATTACH_TYPE_INVALID = -1,
	CGROUP_INET_INGRESS,
	CGROUP_INET_EGRESS,
	CGROUP_INET_SOCK_CREATE,
	CGROUP_SOCK_OPS,
	CGROUP_DEVICE,
	CGROUP_INET4_BIND,
	CGROUP_INET6_BIND,
	CGROUP_INET4_CONNECT,
	CGROUP_INET6_CONNECT,
	CGROUP_UNIX_CONNECT, /* the five of AF_UNIX: since 6.7 */
	CGROUP_INET4_POST_BIND,
	CGROUP_INET6_POST_BIND,
	CGROUP_UDP4_SENDMSG,
	CGROUP_UDP6_SENDMSG,
	CGROUP_UNIX_SENDMSG,
	CGROUP_SYSCTL,
	CGROUP_UDP4_RECVMSG,
	CGROUP_UDP6_RECVMSG,
	CGROUP_UNIX_RECVMSG,
	CGROUP_GETSOCKOPT,
	CGROUP_SETSOCKOPT,
	CGROUP_INET4_GETPEERNAME,
	CGROUP_INET6_GETPEERNAME,
	CGROUP_UNIX_GETPEERNAME,
	CGROUP_INET4_GETSOCKNAME,
	CGROUP_INET6_GETSOCKNAME,
	CGROUP_UNIX_GETSOCKNAME,
	CGROUP_INET_SOCK_RELEASE,
	CGROUP_LSM_START,
	CGROUP_LSM_END,
};

/* ----------------------------------------------------------------- perf --- */

struct pmu {
	const char *name;
} __pai;

struct tracepoint {
	const char *name;
} __pai;

struct trace_event_class {
	const char *system;
} __pai;

struct trace_event_call {
	struct trace_event_class *class;
	const char *name;
	struct tracepoint *tp; /* instead of the name */
} __pai;

struct perf_event_attr {
	__u32 type;
	__u64 config;
} __pai;

struct hw_perf_event {
	struct task_struct *target; /* the thread that it is for */
} __pai;

struct perf_event {
	struct pmu *pmu;
	struct perf_event_attr attr;
	struct hw_perf_event hw;
	int cpu;
	struct list_head child_list;
	struct bpf_prog *prog;
	struct trace_event_call *tp_event; /* with CONFIG_EVENT_TRACING */
} __pai;

/* ---------------------------------------------------- network namespaces --- */

struct netns_bpf {
	struct bpf_prog *progs[2];
} __pai;

struct inet_ehash_bucket {
	struct hlist_nulls_node *first;
} __pai;

struct inet_hashinfo {
	struct inet_ehash_bucket *ehash;
	unsigned int ehash_mask;
} __pai;

struct inet_timewait_death_row {
	struct inet_hashinfo *hashinfo;
} __pai;

struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
	struct hlist_head *fib_table_hash;
	struct fib_rules_ops *rules_ops; /* with CONFIG_IP_MULTIPLE_TABLES */
	const struct tcp_congestion_ops *tcp_congestion_control;
} __pai;

struct netns_ipv6 {
	struct hlist_head *fib_table_hash;
	struct fib_rules_ops *fib6_rules_ops; /* with CONFIG_IPV6_MULTIPLE_TABLES */
} __pai;

struct netns_nexthop {
	struct rb_root rb_root;
} __pai;

struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[5], *hooks_ipv6[5];
	struct nf_hook_entries *hooks_arp[3];	 /* where arptables is configured */
	struct nf_hook_entries *hooks_bridge[5]; /* where its filters are */
} __pai;

/* What modules have for each namespace, by numbers that they got when they were loaded. */
struct net_generic {
	union {
		struct {
			unsigned int len;
		} s;
		void *ptr[0];
	};
} __pai;

struct net {
	struct list_head list;
	struct ns_common ns;
	struct list_head dev_base_head;
	struct netns_bpf bpf;
	struct netns_ipv4 ipv4;
	struct netns_ipv6 ipv6;
	struct netns_nexthop nexthop;
	struct netns_nf nf;
	struct net_generic *gen;
} __pai;

typedef struct {
	struct net *net;
} __pai possible_net_t;

/* -------------------------------------------------------------- devices --- */

struct rtnl_link_ops {
	const char *kind;
	bool netns_refund;
} __pai;

struct device_driver {
	const char *name;
} __pai;

struct device {
	struct device *parent;
	struct device_driver *driver;
} __pai;

struct bpf_xdp_entity {
	struct bpf_prog *prog;
	struct bpf_xdp_link *link;
} __pai;

struct net_device {
	possible_net_t nd_net;
	int ifindex;
	char name[16];
	struct list_head dev_list;
	struct {
		struct list_head lower;
	} adj_list; /* devices that are stacked on each other */
	struct device dev;
	const struct rtnl_link_ops *rtnl_link_ops;
	struct bpf_xdp_entity xdp_state[3];		  /* __MAX_XDP_MODE */
	struct bpf_mprog_entry *tcx_ingress, *tcx_egress; /* since 6.6 */
	struct netdev_queue *ingress_queue;
	struct Qdisc *qdisc;
	struct hlist_head qdisc_hash[16]; /* with CONFIG_NET_SCHED */
	__u8 priv[0];			  /* since 6.10 */
} __pai;

struct netdev_adjacent {
	struct net_device *dev;
	struct list_head list;
} __pai;

struct virtnet_info {
	__u16 max_queue_pairs;
} __pai;

struct bonding {
	struct bpf_prog *xdp_prog; /* since 5.15 */
	int slave_cnt;
} __pai;

struct veth_priv {
	struct net_device *peer;
} __pai;

/* Tunnels, with the namespace in which they were made. */
struct vxlan_dev {
	struct net *net;
} __pai;

struct geneve_dev {
	struct net *net;
} __pai;

struct ip_tunnel { /* gre, ipip, sit, vti */
	struct net *net;
} __pai;

struct ip6_tnl { /* the same over IPv6 */
	struct net *net;
} __pai;

struct xfrm_if {
	struct net *net;
} __pai;

struct netkit { /* since 6.7 */
	struct net_device *peer;
	struct bpf_mprog_entry *active;
	bool primary;
} __pai;

struct tun_prog {
	struct bpf_prog *prog;
} __pai;

struct tun_struct {
	unsigned int flags;
	struct net_device *dev;
	struct tun_prog *steering_prog, *filter_prog;
} __pai;

#define BPF_MPROG_MAX 64

struct bpf_mprog_fp {
	struct bpf_prog *prog;
} __pai;

struct bpf_mprog_cp {
	struct bpf_link *link;
} __pai;

struct bpf_mprog_entry { /* since 6.6 */
	struct bpf_mprog_fp fp_items[BPF_MPROG_MAX];
	struct bpf_mprog_bundle *parent;
} __pai;

struct bpf_mprog_bundle {
	struct bpf_mprog_entry a, b;
	struct bpf_mprog_cp cp_items[BPF_MPROG_MAX];
	__u32 count;
} __pai;

/* -------------------------------------------------------------- sockets --- */

/* Families of addresses. libc's <sys/socket.h> has them, which programs for BPF cannot include. */
#define AF_UNIX	  1
#define AF_INET	  2
#define AF_INET6  10
#define AF_PACKET 17
#define AF_KCM	  41
#define AF_XDP	  44

struct sock_common {
	__u32 skc_rcv_saddr;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_net_refcnt : 1;
	possible_net_t skc_net;
	struct in6_addr skc_v6_rcv_saddr; /* with CONFIG_IPV6 */
	struct sock *skc_listener;
	unsigned long skc_flags;
	struct hlist_nulls_node skc_nulls_node;
} __pai;

struct sk_buff {
	struct sk_buff *next, *prev;
	struct sock *sk;
	char cb[48];
} __pai;

struct sk_buff_head {
	struct sk_buff *next, *prev;
} __pai;

struct sk_filter {
	struct bpf_prog *prog;
} __pai;

struct sock_reuseport {
	struct bpf_prog *prog;
} __pai;

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	struct sk_filter *sk_filter;
	__u16 sk_type, sk_protocol;
	void *sk_user_data;
	struct sock_reuseport *sk_reuseport_cb;
	struct socket *sk_socket;
} __pai;

struct socket {
	struct sock *sk;
} __pai;

struct tun_file {
	struct sock sk;
	struct tun_struct *tun, *detached; /* of a queue that is switched off */
} __pai;

struct sk_psock {
	struct sk_psock_progs progs;
	struct list_head link;
} __pai;

struct sk_psock_link {
	struct list_head list;
	struct bpf_map *map;
} __pai;

struct request_sock {
	struct sock_common __req_common;
	struct request_sock *dl_next;
	struct sock *sk;
} __pai;

struct request_sock_queue {
	struct request_sock *rskq_accept_head;
} __pai;

struct inet_connection_sock {
	struct request_sock_queue icsk_accept_queue;
	struct tcp_congestion_ops *icsk_ca_ops;
} __pai;

struct sockaddr_un {
	char sun_path[108];
} __pai;

struct unix_address {
	int len;
	struct sockaddr_un name[0];
} __pai;

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
} __pai;

struct scm_fp_list {
	short count;
	struct file *fp[0];
} __pai;

struct unix_skb_parms {
	struct scm_fp_list *fp;
} __pai;

struct packet_type {
	struct net_device *dev;
} __pai;

struct packet_fanout {
	__u16 id;
	__u8 type;
	struct bpf_prog *bpf_prog;
} __pai;

struct packet_sock {
	struct packet_fanout *fanout;
	struct packet_type prot_hook;
} __pai;

struct xdp_sock { /* with CONFIG_XDP_SOCKETS */
	struct list_head map_list;
} __pai;

struct kcm_mux {
	struct list_head psocks;
} __pai;

struct kcm_sock {
	struct kcm_mux *mux;
} __pai;

struct kcm_psock {
	struct list_head psock_list;
	struct bpf_prog *bpf_prog;
} __pai;

/* --------------------------------------------------------------- routes --- */

struct lwtunnel_state {
	__u16 type;
	__u8 data[0];
} __pai;

struct bpf_lwt_prog {
	struct bpf_prog *prog;
} __pai;

struct bpf_lwt {
	struct bpf_lwt_prog in, out, xmit;
} __pai;

struct seg6_local_lwt {
	struct bpf_lwt_prog bpf;
} __pai;

struct fib_nh_common {
	struct net_device *nhc_dev;
	struct lwtunnel_state *nhc_lwtstate;
} __pai;

struct nh_info {
	struct fib_nh_common fib_nhc;
} __pai;

struct nexthop {
	struct rb_node rb_node;
	__u32 id;
	bool is_group;
	struct nh_info *nh_info;
} __pai;

struct fib_nh {
	struct fib_nh_common nh_common;
} __pai;

struct fib_info {
	__u32 fib_priority;
	int fib_nhs;
	struct nexthop *nh;
	struct fib_nh fib_nh[0];
} __pai;

struct fib_alias {
	struct hlist_node fa_list;
	struct fib_info *fa_info;
	__u8 fa_slen;
	__u32 tb_id;
} __pai;

struct fib_table {
	struct hlist_node tb_hlist;
	__u32 tb_id;
	unsigned long *tb_data; /* a struct trie */
} __pai;

struct key_vector {
	__u32 key;
	unsigned char pos, bits;
	union {
		struct hlist_head leaf; /* or children: an array at the same place */
	};
} __pai;

struct tnode {
	struct key_vector *parent;
	struct key_vector kv[1];
} __pai;

struct trie {
	struct key_vector kv[1];
} __pai;

struct rt6key {
	struct in6_addr addr;
	int plen;
} __pai;

struct fib6_nh {
	struct fib_nh_common nh_common;
} __pai;

struct fib6_info {
	struct fib6_info *fib6_next;
	unsigned int fib6_nsiblings;
	struct rt6key fib6_dst;
	__u32 fib6_metric;
	struct nexthop *nh;
	struct fib6_nh fib6_nh[0];
} __pai;

struct fib6_node {
	struct fib6_node *parent, *left, *right;
	struct fib6_node *subtree; /* with CONFIG_IPV6_SUBTREES */
	struct fib6_info *leaf;
	__u16 fn_flags;
} __pai;

struct fib6_table {
	struct hlist_node tb6_hlist;
	__u32 tb6_id;
	struct fib6_node tb6_root;
} __pai;

/* ------------------------------------------------------ traffic control --- */

struct Qdisc_class_ops {
	void *tcf_block;
} __pai;

struct Qdisc_ops { /* may be a struct_ops map's since 6.16 */
	const struct Qdisc_class_ops *cl_ops;
	char id[16];
	struct module *owner;
} __pai;

struct netdev_queue {
	struct net_device *dev;
	struct Qdisc *qdisc_sleeping;
} __pai;

struct qdisc_skb_head {
	struct sk_buff *head;
	__u32 qlen;
} __pai;

struct Qdisc {
	const struct Qdisc_ops *ops;
	struct hlist_node hash;
	__u32 handle, parent;
	struct netdev_queue *dev_queue;
	struct sk_buff_head gso_skb, skb_bad_txq;
	struct qdisc_skb_head q;
	long privdata[0];
} __pai;

struct Qdisc_class_hash {
	struct hlist_head *hash;
	unsigned int hashsize;
} __pai;

struct Qdisc_class_common {
	__u32 classid;
	struct hlist_node hnode;
} __pai;

struct ingress_sched_data {
	struct tcf_block *block;
} __pai;

struct clsact_sched_data {
	struct tcf_block *ingress_block, *egress_block;
} __pai;

struct htb_sched {
	struct Qdisc_class_hash clhash;
	struct tcf_block *block;
	struct qdisc_skb_head direct_queue;
} __pai;

struct htb_class {
	struct Qdisc_class_common common;
	struct tcf_block *block;
} __pai;

struct hfsc_sched { /* its root is one of its classes */
	struct Qdisc_class_hash clhash;
} __pai;

struct hfsc_class {
	struct Qdisc_class_common cl_common;
	struct tcf_block *block;
} __pai;

struct pfifo_fast_priv {
	struct skb_array q[3]; /* PFIFO_FAST_BANDS */
} __pai;

struct fq_codel_flow {
	struct sk_buff *head;
} __pai;

struct fq_codel_sched_data {
	struct tcf_block *block;
	struct fq_codel_flow *flows;
	__u32 flows_cnt;
} __pai;

struct netem_sched_data {
	struct rb_root t_root;
	struct sk_buff *t_head;
} __pai;

/* The other kinds of qdiscs have one block, which their classes share. */
#define QDISC_WITH_BLOCK(type)           \
	struct type {                    \
		struct tcf_block *block; \
	} __pai

QDISC_WITH_BLOCK(cake_sched_data);
QDISC_WITH_BLOCK(drr_sched);
QDISC_WITH_BLOCK(ets_sched);
QDISC_WITH_BLOCK(fq_pie_sched_data);
QDISC_WITH_BLOCK(multiq_sched_data);
QDISC_WITH_BLOCK(prio_sched_data);
QDISC_WITH_BLOCK(qfq_sched);
QDISC_WITH_BLOCK(sfb_sched_data);
QDISC_WITH_BLOCK(sfq_sched_data);

struct tcf_proto_ops {
	char kind[16];
} __pai;

struct tcf_proto {
	struct tcf_proto *next;
	void *root;
	__u32 prio;
	const struct tcf_proto_ops *ops;
	struct tcf_chain *chain;
} __pai;

struct tcf_block {
	struct list_head chain_list;
	__u32 index;
	struct net *net;
} __pai;

struct tcf_chain {
	struct tcf_proto *filter_chain;
	struct list_head list;
	struct tcf_block *block;
	__u32 index;
} __pai;

struct cls_bpf_head {
	struct list_head plist;
} __pai;

struct cls_bpf_prog {
	struct bpf_prog *filter;
	struct list_head link;
	__u32 handle;
} __pai;

struct tcf_idrinfo {
	struct idr action_idr;
	struct net *net;
} __pai;

struct tc_action_ops {
	char kind[16];
	unsigned int net_id;
} __pai;

struct tc_action_net { /* with CONFIG_NET_CLS_ACT */
	struct tcf_idrinfo *idrinfo;
	const struct tc_action_ops *ops;
} __pai;

struct tc_action {
	const struct tc_action_ops *ops;
	struct tcf_idrinfo *idrinfo;
	__u32 tcfa_index;
} __pai;

struct tcf_bpf {
	struct tc_action common;
	struct bpf_prog *filter;
} __pai;

/* ------------------------------------------------------------ netfilter --- */

enum nf_hook_ops_type { NF_HOOK_OP_UNDEFINED, NF_HOOK_OP_NF_TABLES };

struct nf_hook_ops {
	void *priv;
	__u8 pf;
	enum nf_hook_ops_type hook_ops_type; /* since 5.14; a field of 8 bits */
	int priority;
} __pai;

struct nf_hook_entry {
	void *hook, *priv;
} __pai;

/* As many pointers to what was registered follow the entries (nf_hook_entries_get_hook_ops()). */
struct nf_hook_entries {
	__u16 num_hook_entries;
	struct nf_hook_entry hooks[0];
} __pai;

struct nf_nat_lookup_hook_priv {
	struct nf_hook_entries *entries;
} __pai;

struct xt_table_info {
	unsigned int size;
	unsigned int hook_entry[5];
	unsigned char entries[0];
} __pai;

struct xt_table {
	struct list_head list;
	unsigned int valid_hooks;
	struct xt_table_info *private;
	struct nf_hook_ops *ops; /* since 5.16 */
	__u8 af;
	char name[32];
} __pai;

struct xt_match {
	char name[29];
	__u8 revision;
} __pai;

struct xt_target {
	char name[29];
} __pai;

struct xt_bpf_info_v1 {
	struct bpf_prog *filter;
} __pai;

struct ipt_entry {
	__u16 target_offset, next_offset;
	unsigned char elems[0];
} __pai;

struct ip6t_entry {
	__u16 target_offset, next_offset;
	unsigned char elems[0];
} __pai;

struct arpt_entry {
	__u16 target_offset, next_offset;
	unsigned char elems[0];
} __pai;

struct nftables_pernet {
	struct list_head tables;
} __pai;

struct nft_table {
	struct list_head list, chains;
	__u64 handle;
	__u16 family; /* a field of some bits */
	char *name;
} __pai;

struct nft_chain {
	struct list_head list, rules;
	struct nft_table *table;
	char *name;
} __pai;

struct nft_base_chain {
	struct nf_hook_ops ops;
	struct nft_chain chain;
} __pai;

struct nft_rule {
	struct list_head list;
	__u64 handle, dlen; /* fields of some bits */
	unsigned char data[0];
} __pai;

struct nft_expr_type {
	const char *name;
} __pai;

struct nft_expr_ops {
	unsigned int size;
	const struct nft_expr_type *type;
	void *data; /* of a match: the struct xt_match */
} __pai;

struct nft_expr {
	const struct nft_expr_ops *ops;
	unsigned char data[0];
} __pai;

struct nft_xt_match_priv {
	void *info;
} __pai;

#endif
