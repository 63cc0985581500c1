/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fixture.h"

#include <dirent.h>
#include <ftw.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "snapshot/snapshot.h"

/* ---------------------------------------------------------------- cases --- */

struct test_case {
	const char *name;
	int line;
	void (*run)(void);
};

static struct test_case *cases;
static size_t case_count;

void test_add(const char *name, int line, void (*run)(void))
{
	cases = g_renew(struct test_case, cases, case_count + 1);
	cases[case_count++] = (struct test_case){ name, line, run };
}

/* "3 /dev/null\n" and so on for each descriptor of this process, owned. */
static char *descriptors_text(void)
{
	GString *text = g_string_new(NULL);
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	g_assert_nonnull(dir);
	while ((entry = readdir(dir))) {
		g_autofree char *path = g_build_filename("/proc/self/fd", entry->d_name, NULL);
		g_autofree char *target = g_file_read_link(path, NULL);

		if (target && atoi(entry->d_name) != dirfd(dir))
			g_string_append_printf(text, "%s %s\n", entry->d_name, target);
	}
	closedir(dir);
	return g_string_free(text, FALSE);
}

/* valgrind of Debian 12 does not implement openat2(2), which some programs need. */
static bool lacks_openat2(void)
{
	const char *need = g_getenv("NEED_OPENAT2");

	return need && *need && syscall(SYS_openat2, -1, NULL, NULL, 0) < 0 && errno == ENOSYS;
}

static void run_case(gconstpointer data)
{
	const struct test_case *it = data;
	g_autofree char *before = descriptors_text(), *after = NULL;

	if (lacks_openat2()) {
		g_test_skip("this kernel has no openat2(2), which came with 5.6");
		return;
	}
	it->run();
	after = descriptors_text();
	g_assert_cmpstr(after, ==, before);
}

static int compare_lines(const void *a, const void *b)
{
	return ((const struct test_case *)a)->line - ((const struct test_case *)b)->line;
}

int main(int argc, char **argv)
{
	int failed;

	g_test_init(&argc, &argv, NULL);
	qsort(cases, case_count, sizeof(*cases), compare_lines);
	for (size_t i = 0; i < case_count; i++) {
		g_autofree char *path = g_strconcat("/", cases[i].name, NULL);

		g_test_add_data_func(path, &cases[i], run_case);
	}
	failed = g_test_run();
	g_free(cases);
	return failed;
}

/* ---------------------------------------------------- temporary directory --- */

void temp_dir_init(struct temp_dir *dir)
{
	dir->path = g_dir_make_tmp("bpfrefs-XXXXXX", NULL);
	g_assert_nonnull(dir->path);
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(dir->fd, >=, 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void temp_dir_clear(struct temp_dir *dir)
{
	g_assert_cmpint(nftw(dir->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
	close(dir->fd);
	g_free(dir->path);
}

static char *make_parents(const struct temp_dir *dir, const char *path)
{
	char *full = g_build_filename(dir->path, path, NULL);
	g_autofree char *parent = g_path_get_dirname(full);

	g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
	return full;
}

void temp_dir_file(const struct temp_dir *dir, const char *path, const char *text)
{
	g_autofree char *full = make_parents(dir, path);

	g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

void temp_dir_link(const struct temp_dir *dir, const char *path, const char *target)
{
	g_autofree char *full = make_parents(dir, path);

	g_assert_cmpint(symlink(target, full), ==, 0);
}

void temp_dir_mkdir(const struct temp_dir *dir, const char *path)
{
	g_autofree char *full = make_parents(dir, path);

	g_assert_cmpint(g_mkdir_with_parents(full, 0755), ==, 0);
}

void temp_dir_has_only(const struct temp_dir *dir, const char *path, const char *names)
{
	g_autofree char *full = g_build_filename(dir->path, path, NULL);
	g_autoptr(GDir) entries = g_dir_open(full, 0, NULL);
	g_auto(GStrv) allowed = g_strsplit(names, " ", -1);
	const char *name;

	g_assert_nonnull(entries);
	while ((name = g_dir_read_name(entries)))
		g_assert_true(g_strv_contains((const char *const *)allowed, name));
}

/* ------------------------------------------------------------ fake kernel --- */

static int next_id(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start, uint32_t *id)
{
	const struct fake *fake = ctx->source_data;
	const struct bpfrefs_key *key = fake->ids;

	while (key && key->kind != BPFREFS_KIND_NONE && (key->kind != kind || key->id <= start))
		key++;
	if (!key || key->kind == BPFREFS_KIND_NONE)
		return -ENOENT;
	*id = key->id;
	return 0;
}

static int info(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, struct bpfrefs_info **result)
{
	if (bpfrefs_exists(ctx, key) != 0)
		return -ENOENT;
	*result = info_new();
	info_str(*result, "kind", bpfrefs_kind_name(key.kind));
	info_num(*result, "id", key.id);
	if (key.kind == BPFREFS_KIND_MAP)
		info_enum(*result, "type", BPFREFS_ENUM_MAP_TYPE,
			  key.id == fake_map.id ? BPF_MAP_TYPE_PROG_ARRAY : BPF_MAP_TYPE_HASH);
	info_str(*result, "name", key.id == fake_plain.id ? "a b\\c\n\377" : "plain");
	return 0;
}

static int map_payer(struct bpfrefs_ctx *ctx, uint32_t id, struct map_payer *payer)
{
	const struct fake *fake = ctx->source_data;

	(void)id;
	if (!fake->payer)
		return fake->payer_error ? fake->payer_error : -ENOENT;
	*payer = (struct map_payer){ g_strdup(fake->payer), true };
	return 0;
}

static uint64_t memlock(struct bpfrefs_ctx *ctx, struct bpfrefs_key key)
{
	const struct fake *fake = ctx->source_data;

	if (!fake->memlock || key.kind != BPFREFS_KIND_MAP)
		return BPFREFS_UNKNOWN;
	return fake->memlock * key.id;
}

static int collect_counted(struct scan *scan, gint *counter)
{
	struct fake *fake = scan->ctx->source_data;

	g_atomic_int_inc(counter);
	g_mutex_lock(&fake->gate);
	g_mutex_unlock(&fake->gate);
	if (fake->collect_error)
		return fake->collect_error;
	fake->build(scan);
	return 0;
}

static int collect(struct scan *scan)
{
	struct fake *fake = scan->ctx->source_data;

	return collect_counted(scan, &fake->scans);
}

static int collect_one(struct scan *scan, struct bpfrefs_key key)
{
	struct fake *fake = scan->ctx->source_data;

	return fake->alone && key.kind == BPFREFS_KIND_MAP ? collect_counted(scan, &fake->walks)
							   : -EAGAIN;
}

static const struct source bpf_source = {
	.id = BPFREFS_SOURCE_BPF,
	.next_id = next_id,
	.collect = collect,
};
static const struct source proc_source = {
	.id = BPFREFS_SOURCE_PROC,
	.next_id = next_id,
	.info = info,
	.map_payer = map_payer,
	.memlock = memlock,
	.collect = collect,
	.collect_one = collect_one,
};

struct bpfrefs_ctx *fake_ctx_new(struct fake *fake)
{
	struct bpfrefs_ctx *ctx = NULL;

	g_assert_cmpint(ctx_open_with(&bpf_source, fake, &ctx), ==, 0);
	return ctx;
}

void set_class(struct scan *scan, const char *class)
{
	for (unsigned int i = 0; holder_classes[i]; i++)
		if (strcmp(holder_classes[i]->pub.name, class) == 0)
			scan_set_class(scan, holder_classes[i]);
	g_assert_cmpstr(scan->class->pub.name, ==, class);
}

void set(struct scan *scan, struct bpfrefs_ref *ref, const char *key, const char *str, uint64_t num)
{
	unsigned int i = 0;

	while (scan->class->pub.keys[i] && strcmp(scan->class->pub.keys[i], key) != 0)
		i++;
	g_assert_nonnull(scan->class->pub.keys[i]);
	if (str)
		ref_set_str(scan, ref, i, str);
	else
		ref_set_num(ref, i, num);
}

/* The number of a type of the kernel's, by its name. */
static uint32_t type_number(enum bpfrefs_kind kind, const char *type)
{
	static const enum bpfrefs_enum types[] = { BPFREFS_ENUM_MAP_TYPE, BPFREFS_ENUM_PROG_TYPE,
						   BPFREFS_ENUM_LINK_TYPE };
	uint32_t number = 0;

	if (kind == BPFREFS_KIND_BTF)
		return 0;
	while (g_strcmp0(bpfrefs_enum_name(types[kind], number), type) != 0)
		g_assert_cmpuint(number++, <, 100);
	return number;
}

struct bpfrefs_object *object(struct scan *scan, struct bpfrefs_key key, const char *type,
			      bool user_state)
{
	struct bpfrefs_object *result = scan_object_add(scan, key);

	result->name = "";
	result->type = type;
	result->type_number = type_number(key.kind, type);
	result->user_state = user_state;
	result->refcnt = 0;
	result->usercnt = 0;
	return result;
}

struct bpfrefs_object *array(struct scan *scan, uint32_t id)
{
	return object(scan, map(id), "prog_array", true);
}

struct bpfrefs_object *program(struct scan *scan, uint32_t id)
{
	return object(scan, prog(id), "xdp", false);
}

struct bpfrefs_ref *hold(struct scan *scan, const char *class, struct bpfrefs_key target,
			 struct bpfrefs_key holder, const char *via, uint32_t user)
{
	struct bpfrefs_object *held = scan_object(scan, target);
	unsigned int number = 0;

	set_class(scan, class);
	held->refcnt++;
	held->usercnt += user;
	if (holder.kind == BPFREFS_KIND_NONE)
		return scan_add(scan, target, 1, user);
	while (g_strcmp0(ref_via_of(number)->word, via) != 0)
		number++;
	return scan_add_held(scan, target, 1, user, holder, number);
}

static struct bpfrefs_ref *add_fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid,
				  const char *comm, bool shared)
{
	struct bpfrefs_ref *ref;

	set_class(scan, "fd");
	ref = shared ? scan_add(scan, key, 0, 0)
		     : hold(scan, "fd", key, nobody, NULL, key.kind == BPFREFS_KIND_MAP);
	ref_set_pid(ref, pid);
	scan_process(scan, pid, comm);
	return ref;
}

void fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid)
{
	add_fd(scan, key, pid, "loader", false);
}

void shared_fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid)
{
	add_fd(scan, key, pid, "child", true);
}

static void set_fd(struct scan *scan, struct bpfrefs_ref *ref, const char *comm, uint32_t number,
		   uint64_t file)
{
	set(scan, ref, "file", NULL, file);
	set(scan, ref, "pid", NULL, ref->pid);
	set(scan, ref, "comm", comm, 0);
	set(scan, ref, "fd", NULL, number);
}

struct bpfrefs_ref *open_fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid,
			    const char *comm, uint32_t number, uint64_t file)
{
	struct bpfrefs_ref *ref = add_fd(scan, key, pid, comm, false);

	set_fd(scan, ref, comm, number, file);
	return ref;
}

static struct bpfrefs_ref *add_pin(struct scan *scan, struct bpfrefs_key key, const char *inner,
				   uint64_t ino, bool hard_link)
{
	bool user = key.kind == BPFREFS_KIND_MAP;
	g_autofree char *path = g_strconcat("/sys/fs/bpf", inner, NULL);
	struct bpfrefs_ref *ref;

	set_class(scan, "pin");
	ref = hard_link ? scan_add(scan, key, 0, 0) : hold(scan, "pin", key, nobody, NULL, user);
	set(scan, ref, "path", path, 0);
	set(scan, ref, "ino", NULL, ino);
	ref_set_location(scan, ref, (struct pin_location){ MAJOR, MINOR, ino, inner });
	return ref;
}

struct bpfrefs_ref *pin(struct scan *scan, struct bpfrefs_key key, uint64_t ino)
{
	return add_pin(scan, key, "/x", ino, false);
}

void hard_link(struct scan *scan, struct bpfrefs_key key, uint64_t ino)
{
	add_pin(scan, key, "/y", ino, true);
}

struct bpfrefs_ref *keep(struct scan *scan, uint32_t id, const char *mode)
{
	struct bpfrefs_ref *ref = hold(scan, "keep", map(id), nobody, NULL, 1);

	set(scan, ref, "mode", mode, 0);
	ref->automatic = strcmp(mode, bpfrefs_keep_name(BPFREFS_KEEP_AUTO)) == 0;
	return ref;
}

void keep_at(struct scan *scan, uint32_t id, const char *mode, uint64_t ino)
{
	ref_set_location(scan, keep(scan, id, mode),
			 (struct pin_location){ MAJOR, MINOR, ino, "/k" });
}

void uses(struct scan *scan, uint32_t prog_id, uint32_t map_id)
{
	hold(scan, "prog", map(map_id), prog(prog_id), "used_maps", 0);
}

void slot(struct scan *scan, uint32_t map_id, uint32_t index, uint32_t prog_id)
{
	set(scan, hold(scan, "map", prog(prog_id), map(map_id), "slot", 0), "slot", NULL, index);
}

/* ------------------------------------------------------ answers of the graph --- */

struct bpfrefs_snapshot *snapshot_of(build_fn build)
{
	struct fake fake = { .build = build };
	struct bpfrefs_snapshot *snap = NULL;
	struct bpfrefs_ctx *ctx = fake_ctx_new(&fake);

	g_assert_cmpint(bpfrefs_snapshot_take(ctx, &snap), ==, 0);
	bpfrefs_ctx_close(ctx);
	return snap;
}

static struct bpfrefs_snapshot *taken;

const struct bpfrefs_snapshot *freeze(struct scan *scan)
{
	int proc_fd = scan->ctx->proc_fd;

	taken = scan_finish(scan);
	taken->find_states = states_find;
	g_assert_cmpint(snapshot_freeze(taken, proc_fd), ==, 0);
	return taken;
}

void test_graph(void (*run)(struct scan *scan, const struct bpfrefs_snapshot *snap))
{
	struct fake fake = { 0 };
	struct bpfrefs_ctx *ctx = fake_ctx_new(&fake);

	run(scan_new(ctx, holder_classes), NULL);
	bpfrefs_snapshot_unref(taken);
	bpfrefs_ctx_close(ctx);
}

void state_is(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key, enum bpfrefs_state state,
	      const char *because)
{
	const struct bpfrefs_object *found = bpfrefs_snapshot_find(snap, key);
	g_autofree char *escaped = found ? g_strescape(found->because, NULL) : NULL;
	char buf[BPFREFS_KEY_MAX];

	g_assert_nonnull(found);
	g_test_message("%s: %s: %s", bpfrefs_key_format(key, buf), bpfrefs_state_name(found->state),
		       escaped);
	g_assert_cmpstr(bpfrefs_state_name(found->state), ==, bpfrefs_state_name(state));
	g_assert_cmpstr(found->because, ==, because);
}

static void add_root(GString *text, const struct bpfrefs_root *root)
{
	char key[BPFREFS_KEY_MAX];

	g_string_append(text, bpfrefs_ref_class(root->ref)->name);
	if (bpfrefs_ref_pid(root->ref))
		g_string_append_printf(text, "(%u)", bpfrefs_ref_pid(root->ref));
	if (root->owner)
		g_string_append_printf(text, "[%s %u]", root->owner, root->pid);
	for (size_t i = 0; i < root->count; i++)
		g_string_append_printf(text, "%s%s", i ? "," : ":",
				       bpfrefs_key_format(root->chain[i], key));
	g_string_append_c(text, ' ');
}

void roots_are(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);

	selection_auto *roots = NULL;
	const struct bpfrefs_root *root;

	g_assert_cmpint(bpfrefs_select_roots(snap, key, NULL, &roots), ==, 0);
	while ((root = bpfrefs_next_root(roots)))
		add_root(text, root);
	g_assert_cmpstr(text->str, ==, expected);
}

void retained_by_all(const struct bpfrefs_snapshot *snap, const uint32_t *pids, size_t count,
		     const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct bpfrefs_retained *retained;
	selection_auto *all = NULL;
	char key[BPFREFS_KEY_MAX];

	g_assert_cmpint(bpfrefs_select_retained(snap, pids, count, NULL, &all), ==, 0);
	while ((retained = bpfrefs_next_retained(all))) {
		/* The states are known, though no query computed states before. */
		g_assert_nonnull(retained->object->because);
		g_string_append_printf(text, "%s:%s ",
				       bpfrefs_key_format(retained->object->key, key),
				       bpfrefs_effect_name(retained->effect));
	}
	g_assert_cmpstr(text->str, ==, expected);
}

void retained_is(const struct bpfrefs_snapshot *snap, uint32_t pid, const char *expected)
{
	retained_by_all(snap, &pid, 1, expected);
}

/* -------------------------------------------------------------- fake daemon --- */

static const struct bpfrefs_key fake_ids[] = { FAKE_MAP,  FAKE_PLAIN, FAKE_ENTRY, FAKE_TAIL,
					       FAKE_LINK, FAKE_BTF,   NOBODY };

static const struct {
	struct bpfrefs_key key;
	const char *name, *type;
	uint64_t refcnt, usercnt;
} fake_objects[] = {
	{ FAKE_MAP, "conns", "prog_array", 4, 3 },
	{ FAKE_PLAIN, "a b\\c\n\377", "hash", BPFREFS_UNKNOWN, BPFREFS_UNKNOWN },
	{ FAKE_ENTRY, "entry", "xdp", 2, 0 },
	{ FAKE_TAIL, "", "xdp", 3, 0 },
	{ FAKE_LINK, NULL, "xdp", 1, 0 },
	{ FAKE_BTF, "", "btf", 1, 0 },
};

static void add_kernel_btf(struct scan *scan, uint32_t id, uint64_t refcnt)
{
	const struct bpfrefs_key key = { BPFREFS_KIND_BTF, id };

	if (!refcnt)
		return;
	object(scan, key, "kernel", false)->type_number = BTF_OF_KERNEL;
	scan_object(scan, key)->name = id == 2 ? "vmlinux" : "module";
	scan_object(scan, key)->refcnt = refcnt;
}

static void add_references(struct scan *scan, const struct fake *fake)
{
	open_fd(scan, fake_map, FAKE_PID, "the loader", 9, 1);
	set_fd(scan, add_fd(scan, fake_map, FAKE_PID, "the loader", true), "the loader", 10, 1);
	open_fd(scan, fake_link, FAKE_PID2, "the loader", 3, 2);
	if (fake->more_fds)
		open_fd(scan, fake_btf, FAKE_PID, "the loader", 11, 3);
	add_pin(scan, fake_map, "/app/conns", 77, false);
	add_pin(scan, fake_map, "/other/x", 78, false);
	add_pin(scan, fake_plain, "/app/#odd name", 79, false);
	uses(scan, fake_entry.id, fake_map.id);
	slot(scan, fake_map.id, 10, fake_tail.id);
	slot(scan, fake_map.id, 2, fake_entry.id);
	hold(scan, "link", fake_entry, fake_link, "prog", 0);
}

static void add_bpffs(struct scan *scan)
{
	struct bpfrefs_mount mount = {
		.mnt_ns = 4026531841, .pid = 1, .here = true, .path = "/sys/fs/bpf"
	};

	scan_bpffs(scan, MAJOR, MINOR, 3, true);
	scan_bpffs_options(scan, MAJOR, MINOR, "rw,gidx=7,mode=700,delegate_maps=hash:array");
	scan_bpffs_mount(scan, MAJOR, MINOR, &mount);
	mount = (struct bpfrefs_mount){ .mnt_ns = 4026532000 };
	scan_bpffs_mount(scan, MAJOR, MINOR, &mount);
	scan_bpffs(scan, MAJOR, MINOR + 1, 0, false);
	scan_bpffs_dir(scan, MAJOR, MINOR, 1, "/");
	scan_bpffs_dir(scan, MAJOR, MINOR, 2, "/app");
}

static void add_gaps(struct scan *scan)
{
	set_class(scan, "fd");
	scan_gap(scan, 3, "processes", EACCES);
	set_class(scan, "pin");
	scan_unavailable(scan, "no bpffs here", 0);
	set_class(scan, "map");
	scan_gap(scan, 0, "one never knows", 0);
}

static void build_default(struct scan *scan)
{
	const struct fake *fake = scan->ctx->source_data;

	for (size_t i = 0; i < G_N_ELEMENTS(fake_objects); i++)
		object(scan, fake_objects[i].key, fake_objects[i].type, false)->name =
			scan_str(scan, fake_objects[i].name);
	if (scan_failed(scan)) /* the test's limit of memory: what was added is not there */
		return;
	for (unsigned int i = 0; holder_classes[i]; i++) {
		scan_set_class(scan, holder_classes[i]);
		scan_source(scan, "a fake");
	}
	add_references(scan, fake);
	for (size_t i = 0; i < G_N_ELEMENTS(fake_objects); i++) {
		scan_object(scan, fake_objects[i].key)->refcnt = fake_objects[i].refcnt;
		scan_object(scan, fake_objects[i].key)->usercnt = fake_objects[i].usercnt;
	}
	scan_object(scan, fake_map)->changing = fake->changing;
	if (fake->alone)
		scan_object(scan, fake_plain)->refcnt = scan_object(scan, fake_plain)->usercnt = 1;
	add_kernel_btf(scan, 2, fake->vmlinux);
	add_kernel_btf(scan, 3, fake->module);
	if (fake->gaps)
		add_gaps(scan);
	add_bpffs(scan);
}

void fake_init(struct fake *fake)
{
	struct fs *fs = &fake->fs;

	fake->build = build_default;
	fake->ids = fake_ids;
	g_mutex_init(&fake->gate);
	g_assert_cmpint(ctx_open_with(&proc_source, fake, &fs->ctx), ==, 0);
	fs->view = view_new(fs->ctx, 0);
	fs->errors = errlog_new();
	fs->handles = handles_new(UINT64_MAX);
	fs->source_fd = -1;
	fs->source = source_new(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	fs->source_minor = MINOR;
	fs->source_ino = 2;
	fs->started.tv_sec = 1000;
	fs->opt.source = (char *)"/sys/fs/bpf/app";
	fs->opt.mountpoint = (char *)"/mnt";
}

void fake_clear(struct fake *fake)
{
	struct fs *fs = &fake->fs;

	bpfrefs_snapshot_unref(fake->snap);
	close(source_fd(fs->source));
	source_free(fs->source);
	handles_free(fs->handles);
	errlog_free(fs->errors);
	view_free(fs->view);
	bpfrefs_ctx_close(fs->ctx);
	g_mutex_clear(&fake->gate);
}

void fake_scan(struct fake *fake)
{
	bpfrefs_snapshot_unref(fake->snap);
	g_assert_cmpint(view_fresh(fake->fs.view, &fake->snap), ==, 0);
	snapshot_object(fake->snap, 0); /* the first query evaluates the graph */
	for (size_t i = 0; i < fake->snap->objects->len; i++) {
		struct bpfrefs_object *found = fake->snap->objects->pdata[i];

		found->state = BPFREFS_STATE_HELD;
		found->because = "it is so";
	}
}

void fake_init_scanned(struct fake *fake)
{
	fake_init(fake);
	fake_scan(fake);
}

struct bpfrefs_object *fake_object(struct fake *fake, struct bpfrefs_key key)
{
	return idmap_get(&fake->snap->by_key, key_number(key));
}

char *shown(struct fake *fake, struct bpfrefs_key key, uint32_t pid, show_fn show)
{
	struct where w = { .fs = &fake->fs, .key = key, .pid = pid, .snap = fake->snap };
	GString *out = g_string_new(NULL);

	g_assert_cmpint(show(&w, out), ==, 0);
	return g_string_free(out, FALSE);
}

void check_removed(struct fake *fake, const show_fn *shows, size_t count)
{
	struct where w = { .fs = &fake->fs,
			   .key = { BPFREFS_KIND_MAP, 99 },
			   .pid = NODE_PID_MAX - 5,
			   .snap = fake->snap };

	for (size_t i = 0; i < count; i++) {
		g_autoptr(GString) out = g_string_new(NULL);

		g_assert_cmpint(shows[i](&w, out), ==, -ENOENT);
		g_assert_cmpstr(out->str, ==, "");
	}
}
