/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tree of bpffs names, from records as the BPF walk writes them. */
#include <string.h>
#include <sys/stat.h>

#include "fixture.h"
#include "kernel/pin_tree.h"

static void add_super(GByteArray *out, uint64_t address, uint32_t minor)
{
	struct walk_sb sb = { { WALK_SB, sizeof(sb), 0 }, address, 0, minor };

	g_byte_array_append(out, (const guint8 *)&sb, sizeof(sb));
}

static void add_mount(GByteArray *out, uint32_t ns)
{
	struct walk_mount mount = {
		.rec = { WALK_MOUNT, sizeof(mount), 0 },
		.mnt_ns = ns,
	};

	g_byte_array_append(out, (const guint8 *)&mount, sizeof(mount));
}

static void add_inode(GByteArray *out, uint32_t kind, uint32_t id, uint64_t ino, uint32_t mode)
{
	struct walk_inode inode = {
		.rec = { WALK_INODE, sizeof(inode), id },
		.ino = ino,
		.kind = kind,
		.nlink = 1,
		.mode = mode,
	};

	g_byte_array_append(out, (const guint8 *)&inode, sizeof(inode));
}

static void add_name(GByteArray *out, uint64_t dentry, uint64_t parent, const char *name)
{
	char buffer[sizeof(struct walk_dentry) + 264] = { 0 };
	struct walk_dentry *record = (void *)buffer;

	record->dentry = dentry;
	record->parent = parent;
	record->hashed = 1;
	record->len = (uint32_t)strlen(name);
	memcpy(record->name, name, record->len + 1u);
	record->rec.type = WALK_DENTRY;
	record->rec.size = (uint16_t)(sizeof(*record) + ((record->len + 8) & ~7u));
	g_byte_array_append(out, (const guint8 *)buffer, record->rec.size);
}

static struct pin_tree *tree_of(GByteArray *inodes)
{
	struct pin_tree *pins = pin_tree_new();
	GByteArray *supers = g_byte_array_new();

	add_super(supers, 0x1000, 40);
	add_mount(supers, 7);
	add_mount(supers, 7);
	add_mount(supers, 0);
	add_super(supers, 0x2000, 41);
	pin_tree_supers(pins, supers);
	g_assert_cmpuint(pins->supers->len, ==, 2);
	pin_tree_inodes(pins, g_ptr_array_index(pins->supers, 0), inodes);
	g_byte_array_unref(supers);
	g_byte_array_unref(inodes);
	return pins;
}

/* The path of the @name'th name of the @inode'th inode. */
static void assert_path(const struct pin_tree *pins, guint inode, guint name, const char *path)
{
	const struct pin_inode *found = g_ptr_array_index(pins->inodes, inode);
	g_autofree char *got = pin_tree_path(pins, g_ptr_array_index(found->names, name));

	g_assert_cmpstr(got, ==, path);
}

TEST(names_lead_to_the_root)
{
	GByteArray *out = g_byte_array_new();
	g_autofree char *longest = g_strnfill(255, 'n');
	g_autofree char *long_path = g_strconcat("/app/", longest, NULL);
	struct pin_tree *pins;

	/* newest first, as in the kernel: names come before their directories */
	add_inode(out, WALK_KIND_MAP, 12, 4, S_IFREG | 0600);
	add_name(out, 40, 20, "conns");
	add_name(out, 41, 20, longest);
	add_inode(out, WALK_KIND_DIR, 0, 2, S_IFDIR | 0755);
	add_name(out, 20, 10, "app");
	add_inode(out, WALK_KIND_DIR, 0, 1, S_IFDIR | 01777);
	add_name(out, 10, 10, "/");
	pins = tree_of(out);

	assert_path(pins, 0, 0, "/app/conns");
	assert_path(pins, 0, 1, long_path);
	assert_path(pins, 1, 0, "/app");
	assert_path(pins, 2, 0, "/");
	pin_tree_free(pins);
}

TEST(instances_have_namespaces_once)
{
	struct pin_tree *pins = tree_of(g_byte_array_new());
	const struct pin_super *attached = g_ptr_array_index(pins->supers, 0);
	const struct pin_super *detached = g_ptr_array_index(pins->supers, 1);

	g_assert_cmpuint(attached->namespaces->len, ==, 1);
	g_assert_cmpuint(detached->namespaces->len, ==, 0);
	pin_tree_free(pins);
}

/* A walk that raced with removals may find a name without a parent, or a circle of names. */
TEST(broken_trees_end)
{
	GByteArray *out = g_byte_array_new();
	struct pin_tree *pins;

	add_inode(out, WALK_KIND_MAP, 12, 4, S_IFREG | 0600);
	add_name(out, 40, 99, "orphan");
	add_inode(out, WALK_KIND_DIR, 0, 2, S_IFDIR | 0755);
	add_name(out, 20, 21, "a");
	add_inode(out, WALK_KIND_DIR, 0, 3, S_IFDIR | 0755);
	add_name(out, 21, 20, "b");
	pins = tree_of(out);
	assert_path(pins, 0, 0, NULL);
	assert_path(pins, 1, 0, NULL);
	pin_tree_free(pins);
}

static bool is_private(mode_t outer, mode_t inner)
{
	GByteArray *out = g_byte_array_new();
	struct pin_tree *pins;
	const struct pin_inode *pin;
	bool result;

	add_inode(out, WALK_KIND_MAP, 12, 4, S_IFREG | 0600);
	add_name(out, 40, 30, "map_12");
	add_inode(out, WALK_KIND_DIR, 0, 3, S_IFDIR | inner);
	add_name(out, 30, 20, "keep");
	add_inode(out, WALK_KIND_DIR, 0, 2, S_IFDIR | outer);
	add_name(out, 20, 10, "bpfrefs");
	add_inode(out, WALK_KIND_DIR, 0, 1, S_IFDIR | 01777);
	add_name(out, 10, 10, "/");
	pins = tree_of(out);
	pin = g_ptr_array_index(pins->inodes, 0);
	result = pin_tree_private(pins, g_ptr_array_index(pin->names, 0));
	pin_tree_free(pins);
	return result;
}

TEST(keeps_need_private_directories)
{
	g_assert_true(is_private(0700, 0700));
	g_assert_false(is_private(0755, 0700));
	g_assert_false(is_private(0700, 0701));
	g_assert_false(is_private(01700, 0700));
}

/* A record that is too short is not read past its end. */
TEST(short_records_are_not_read)
{
	GByteArray *out = g_byte_array_new();
	struct walk_rec bare = { WALK_INODE, sizeof(bare), 12 };
	struct pin_tree *pins;

	g_byte_array_append(out, (const guint8 *)&bare, sizeof(bare));
	add_name(out, 40, 20, "nobody's");
	g_byte_array_append(out, (const guint8 *)"abc", 3);
	pins = tree_of(out);
	g_assert_cmpuint(pins->inodes->len, ==, 0);
	g_assert_cmpuint(pins->names.count, ==, 0);
	pin_tree_free(pins);
}

static void add_iter(GByteArray *out, uint32_t link, uint64_t prog)
{
	struct walk_pinned_iter iter = {
		.rec = { WALK_PINNED_ITER, sizeof(iter), link },
		.prog = prog,
		.prog_id = 2,
		.attach_btf_id = 1,
	};

	g_byte_array_append(out, (const guint8 *)&iter, sizeof(iter));
}

/* The records of pinned iterators come among the inodes, and are not inodes. */
TEST(iters)
{
	GByteArray *inodes = g_byte_array_new();
	struct pin_tree *pins;
	const struct pin_iter *iter;

	add_iter(inodes, 1, 0x5000);
	add_inode(inodes, WALK_KIND_LINK, 1, 10, S_IFREG | 0400);
	add_name(inodes, 0x10, 0x10, "maps.debug");
	pins = tree_of(inodes);
	g_assert_cmpuint(pins->inodes->len, ==, 1);
	g_assert_cmpuint(pins->iters->len, ==, 1);
	iter = &g_array_index(pins->iters, struct pin_iter, 0);
	g_assert_cmpuint(iter->prog, ==, 0x5000);
	g_assert_cmpuint(iter->link_id, ==, 1);
	g_assert_cmpuint(iter->prog_id, ==, 2);
	g_assert_cmpuint(iter->attach_btf_id, ==, 1);
	g_assert_cmpuint(iter->btf_id, ==, 0);
	pin_tree_free(pins);
}
