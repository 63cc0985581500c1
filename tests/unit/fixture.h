/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the unit tests share: the form of a case, a temporary directory, a fake kernel that has the
 * objects and references which a test adds, and the daemon's state over that kernel.
 */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mirror/source.h"
#include "render/show.h"
#include "snapshot/index.h"
#include "tree/node.h"

/* ---------------------------------------------------------------- cases --- */

void test_add(const char *name, int line, void (*run)(void));

#define TEST_REGISTER(name, run)                                         \
	__attribute__((constructor)) static void test_##name##_add(void) \
	{                                                                \
		test_add(#name, __LINE__, run);                          \
	}

/*
 * TEST(name) { ... } is a case, as in the kernel's kselftest_harness.h. The cases of a program run in
 * the order of its source, and each must leave the descriptors of the process as it found them.
 */
/* NOLINTBEGIN(bugprone-macro-parentheses): names and types */
#define TEST(name)                       \
	static void test_##name(void);   \
	TEST_REGISTER(name, test_##name) \
	static void test_##name(void)

/* A case with an argument, which init() prepares and clear() clears. */
#define TEST_WITH(type, var, init, clear, name) \
	static void test_##name(type *var);     \
	static void test_##name##_run(void)     \
	{                                       \
		type *it = g_new0(type, 1);     \
                                                \
		init(it);                       \
		test_##name(it);                \
		clear(it);                      \
		g_free(it);                     \
	}                                       \
	TEST_REGISTER(name, test_##name##_run)  \
	static void test_##name(type *var)
/* NOLINTEND(bugprone-macro-parentheses) */

/* ---------------------------------------------------- temporary directory --- */

struct temp_dir {
	char *path;
	int fd;
};

void temp_dir_init(struct temp_dir *dir);
/* Removes the directory with all that is in it. */
void temp_dir_clear(struct temp_dir *dir);
/* These create the directories above @path too. */
void temp_dir_file(const struct temp_dir *dir, const char *path, const char *text);
void temp_dir_link(const struct temp_dir *dir, const char *path, const char *target);
void temp_dir_mkdir(const struct temp_dir *dir, const char *path);
/* Checks that the directory @path has no other names than these, which blanks separate. */
void temp_dir_has_only(const struct temp_dir *dir, const char *path, const char *names);

/* ------------------------------------------------------------ fake kernel --- */

/* Adds the objects and references of a fake kernel. */
typedef void (*build_fn)(struct scan *scan);

struct fake {
	struct fs fs;
	struct bpfrefs_snapshot *snap; /* of fake_scan() */
	build_fn build;
	const struct bpfrefs_key *ids; /* the objects that have an id; the last has no kind */
	int collect_error;
	bool gaps;		  /* classes pin, map and fd have one each */
	bool changing;		  /* the counters of map/12 are changing */
	bool more_fds;		  /* process FAKE_PID has one more descriptor */
	uint64_t vmlinux, module; /* counts of btf/2 and btf/3, the kernel's; 0: there is none */
	const char *payer; /* the cgroup that pays for each map, a dying one; NULL: payer_error */
	int payer_error;   /* 0: it is unknown */
	uint64_t memlock;  /* the memory of map/1, of map/2 twice as much; 0: unknown */
	bool alone;	   /* the references to a map can be collected alone */
	gint scans;	   /* the scans of everything that have begun */
	gint walks;	   /* the scans of one object that have begun */
	GMutex gate;	   /* a scan that has begun waits for it */
};

/* The same, for a context of the test's own: only the kernel, as the BPF source would read it. */
struct bpfrefs_ctx *fake_ctx_new(struct fake *fake);

/* Finds the class of that name, for the references that are added next. */
void set_class(struct scan *scan, const char *class);
/* Sets a field of a reference to a string or, if @str is NULL, to a number. */
void set(struct scan *scan, struct bpfrefs_ref *ref, const char *key, const char *str,
	 uint64_t num);

static inline struct bpfrefs_key map(uint32_t id)
{
	return (struct bpfrefs_key){ BPFREFS_KIND_MAP, id };
}

static inline struct bpfrefs_key prog(uint32_t id)
{
	return (struct bpfrefs_key){ BPFREFS_KIND_PROG, id };
}

static inline struct bpfrefs_key link_(uint32_t id)
{
	return (struct bpfrefs_key){ BPFREFS_KIND_LINK, id };
}

/* NOBODY and the like initialize what is static, for which clang takes no other constants. */
#define NOBODY                       \
	{                            \
		BPFREFS_KIND_NONE, 0 \
	}
static const struct bpfrefs_key nobody = NOBODY;

/* The device number of the bpffs that all pins are in. */
enum { MAJOR = 0, MINOR = 30 };

struct bpfrefs_object *object(struct scan *scan, struct bpfrefs_key key, const char *type,
			      bool user_state);
struct bpfrefs_object *array(struct scan *scan, uint32_t id);
struct bpfrefs_object *program(struct scan *scan, uint32_t id);

/*
 * Each of the following adds a reference, and counts it as the kernel would, so that all references
 * are explained unless the test changes a counter. A shared descriptor, of the same open file as
 * another one, and a hard link are not counted by the kernel.
 */
struct bpfrefs_ref *hold(struct scan *scan, const char *class, struct bpfrefs_key target,
			 struct bpfrefs_key holder, const char *via, uint32_t user);
void fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid);
void shared_fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid);
/* A descriptor with all its fields. */
struct bpfrefs_ref *open_fd(struct scan *scan, struct bpfrefs_key key, uint32_t pid,
			    const char *comm, uint32_t number, uint64_t file);
struct bpfrefs_ref *pin(struct scan *scan, struct bpfrefs_key key, uint64_t ino);
void hard_link(struct scan *scan, struct bpfrefs_key key, uint64_t ino);
struct bpfrefs_ref *keep(struct scan *scan, uint32_t id, const char *mode);
/* The same with an inode number. */
void keep_at(struct scan *scan, uint32_t id, const char *mode, uint64_t ino);
void uses(struct scan *scan, uint32_t prog_id, uint32_t map_id);
void slot(struct scan *scan, uint32_t map_id, uint32_t index, uint32_t prog_id);

/* ------------------------------------------------------ answers of the graph --- */

/* The snapshot of what build() adds, owned. */
struct bpfrefs_snapshot *snapshot_of(build_fn build);

/* A case that adds objects and references to @scan, and then has snap = freeze(scan). */
#define TEST_GRAPH(name)                                                                 \
	static void test_##name(struct scan *scan, const struct bpfrefs_snapshot *snap); \
	static void test_##name##_run(void)                                              \
	{                                                                                \
		test_graph(test_##name);                                                 \
	}                                                                                \
	TEST_REGISTER(name, test_##name##_run)                                           \
	static void test_##name(struct scan *scan, const struct bpfrefs_snapshot *snap)

void test_graph(void (*run)(struct scan *scan, const struct bpfrefs_snapshot *snap));
const struct bpfrefs_snapshot *freeze(struct scan *scan);

void state_is(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key, enum bpfrefs_state state,
	      const char *because);
/* "CLASS(PID)[OWNER PID]:CHAIN " of each root. */
void roots_are(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key, const char *expected);
/* "OBJECT:EFFECT " of each object that the process retains. */
void retained_is(const struct bpfrefs_snapshot *snap, uint32_t pid, const char *expected);
/* The same of several processes together. */
void retained_by_all(const struct bpfrefs_snapshot *snap, const uint32_t *pids, size_t count,
		     const char *expected);

/* -------------------------------------------------------------- fake daemon --- */

/* The objects of the fake kernel that fake_init() builds. */
#define FAKE_MAP                     \
	{                            \
		BPFREFS_KIND_MAP, 12 \
	}
#define FAKE_PLAIN                   \
	{                            \
		BPFREFS_KIND_MAP, 13 \
	}
#define FAKE_ENTRY                   \
	{                            \
		BPFREFS_KIND_PROG, 5 \
	}
#define FAKE_TAIL                    \
	{                            \
		BPFREFS_KIND_PROG, 6 \
	}
#define FAKE_LINK                    \
	{                            \
		BPFREFS_KIND_LINK, 7 \
	}
#define FAKE_BTF                    \
	{                           \
		BPFREFS_KIND_BTF, 1 \
	}

static const struct bpfrefs_key fake_map = FAKE_MAP;
static const struct bpfrefs_key fake_plain = FAKE_PLAIN;
static const struct bpfrefs_key fake_entry = FAKE_ENTRY;
static const struct bpfrefs_key fake_tail = FAKE_TAIL;
static const struct bpfrefs_key fake_link = FAKE_LINK;
static const struct bpfrefs_key fake_btf = FAKE_BTF;

/* Processes that no kernel has: PID_MAX_LIMIT - 1 and the one before it. */
#define FAKE_PID  4194303
#define FAKE_PID2 4194302

/* The daemon's state over a fake kernel; SOURCE is /app of its bpffs. */
void fake_init(struct fake *fake);
void fake_clear(struct fake *fake);

/*
 * Takes a snapshot in which every object is held: the states are the graph's, whose tests check
 * them.
 */
void fake_scan(struct fake *fake);
void fake_init_scanned(struct fake *fake);

#define TEST_FAKE(name)	   TEST_WITH(struct fake, fake, fake_init, fake_clear, name)
#define TEST_SCANNED(name) TEST_WITH(struct fake, fake, fake_init_scanned, fake_clear, name)

/* Whatever a test changes in the object stays, since the graph is evaluated already. */
struct bpfrefs_object *fake_object(struct fake *fake, struct bpfrefs_key key);

typedef int (*show_fn)(const struct where *w, GString *out);

/* What a function of fs/render shows, owned. */
char *shown(struct fake *fake, struct bpfrefs_key key, uint32_t pid, show_fn show);

#define check_shown(fake, key, pid, show, text)                            \
	do {                                                               \
		g_autofree char *shown_text = shown(fake, key, pid, show); \
		g_assert_cmpstr(shown_text, ==, text);                     \
	} while (0)

/* Each function returns -ENOENT, and shows nothing, for an object or a process that was removed. */
void check_removed(struct fake *fake, const show_fn *shows, size_t count);

#endif
