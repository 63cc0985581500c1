// SPDX-License-Identifier: GPL-2.0
/* A program that asks for task work of another process: since 6.18. */
/* newer headers have it too */
#define bpf_task_work bpf_task_work_of_the_header
#include <linux/bpf.h>
#undef bpf_task_work

#include <bpf/bpf_helpers.h>

/* For libbpf, which compares kinds of types. */
struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

struct bpf_map {
	int id;
} __attribute__((preserve_access_index));

struct bpf_task_work {
	__u64 opaque;
};

struct work_value {
	__u64 before;
	struct bpf_task_work work;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct work_value);
} works SEC(".maps");

extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;
#ifdef IMPLICIT_ARGS /* on 7.2: the verifier adds what only it knows */
extern int bpf_task_work_schedule_resume(struct task_struct *task, struct bpf_task_work *work,
					 void *map__map,
					 int (*callback)(struct bpf_map *, void *, void *)) __ksym;
#else
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *work,
					      void *map__map,
					      int (*callback)(struct bpf_map *, void *, void *),
					      void *aux__prog) __ksym;
#define bpf_task_work_schedule_resume(task, work, map, callback) \
	bpf_task_work_schedule_resume_impl(task, work, map, callback, (void *)0)
#endif

static int done(struct bpf_map *map, void *key, void *value)
{
	return 0;
}

/* The context is a pid. */
SEC("syscall")
int set_work(int *pid)
{
	struct task_struct *task;
	struct work_value *value;
	__u32 key = 1;
	int error;

	value = bpf_map_lookup_elem(&works, &key);
	task = bpf_task_from_pid(*pid);
	if (!task)
		return 1;
	error = value ? bpf_task_work_schedule_resume(task, &value->work, &works, done) : 2;
	bpf_task_release(task);
	return error ? 3 : 0;
}

char LICENSE[] SEC("license") = "GPL";
