/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/pin_tree.h"
#include "kernel/bpf_source.h"

#include <string.h>
#include <sys/stat.h>

/* The depth to which a path is followed: PATH_MAX allows 2048 components. */
#define DEPTH_MAX 2048

static void super_free(gpointer data)
{
	struct pin_super *super = data;

	g_array_unref(super->namespaces);
	g_array_unref(super->mounts);
	g_free(super);
}

static void inode_free(gpointer data)
{
	struct pin_inode *inode = data;

	g_ptr_array_unref(inode->names);
	g_free(inode);
}

struct pin_tree *pin_tree_new(void)
{
	struct pin_tree *tree = g_new0(struct pin_tree, 1);

	tree->supers = g_ptr_array_new_with_free_func(super_free);
	tree->inodes = g_ptr_array_new_with_free_func(inode_free);
	tree->iters = g_array_new(FALSE, FALSE, sizeof(struct pin_iter));
	return tree;
}

void pin_tree_free(struct pin_tree *tree)
{
	if (!tree)
		return;
	g_ptr_array_unref(tree->inodes);
	g_ptr_array_unref(tree->supers);
	g_array_unref(tree->iters);
	idmap_clear(&tree->names);
	g_free(tree);
}

static struct pin_super *add_super(struct pin_tree *tree, const struct walk_sb *sb)
{
	struct pin_super *super = g_new0(struct pin_super, 1);

	super->address = sb->sb;
	super->major = sb->major;
	super->minor = sb->minor;
	super->namespaces = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	super->mounts = g_array_new(FALSE, FALSE, sizeof(struct pin_mount));
	g_ptr_array_add(tree->supers, super);
	return super;
}

static void add_mount(struct pin_super *super, const struct walk_mount *record)
{
	struct pin_mount mount = { record->mount, record->ns, record->version, record->mnt_ns };

	g_array_append_val(super->mounts, mount);
}

/* The state while records are added: each record belongs to the instance or inode before it. */
struct taking {
	struct pin_tree *tree;
	struct pin_super *super;
	struct pin_inode *inode;
	GHashTable *namespaces; /* those of the instance */
};

static void take_super(const struct walk_rec *rec, void *data)
{
	const struct walk_sb *sb = walk_record(rec, walk_sb);
	const struct walk_mount *mount = walk_record(rec, walk_mount);
	struct taking *taking = data;

	if (sb) {
		taking->super = add_super(taking->tree, sb);
		g_hash_table_remove_all(taking->namespaces);
	}
	if (!mount || !taking->super)
		return;
	add_mount(taking->super, mount);
	/* 0: mounted in no namespace */
	if (mount->mnt_ns && g_hash_table_add(taking->namespaces, GUINT_TO_POINTER(mount->mnt_ns)))
		g_array_append_val(taking->super->namespaces, mount->mnt_ns);
}

void pin_tree_supers(struct pin_tree *tree, const GByteArray *records)
{
	struct taking taking = { .tree = tree, .namespaces = g_hash_table_new(NULL, NULL) };

	walk_each(records->data, records->len, take_super, &taking);
	g_hash_table_unref(taking.namespaces);
}

static struct pin_inode *add_inode(struct pin_tree *tree, struct pin_super *super,
				   const struct walk_inode *record)
{
	struct pin_inode *inode = g_new0(struct pin_inode, 1);

	inode->key.kind =
		record->kind == WALK_KIND_DIR ? BPFREFS_KIND_NONE : (enum bpfrefs_kind)record->kind;
	inode->key.id = record->rec.id;
	inode->super = super;
	inode->ino = record->ino;
	inode->mtime = record->mtime;
	inode->nlink = record->nlink;
	inode->uid = record->uid;
	inode->gid = record->gid;
	inode->mode = record->mode;
	inode->names = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(tree->inodes, inode);
	return inode;
}

static void add_name(struct pin_tree *tree, struct pin_inode *inode,
		     const struct walk_dentry *dentry)
{
	size_t room = MIN(dentry->rec.size - sizeof(*dentry), (size_t)dentry->len);
	struct pin_name *name = g_malloc0(sizeof(*name) + room + 1);

	name->dentry = dentry->dentry;
	name->parent = dentry->parent;
	name->hashed = dentry->hashed;
	name->inode = inode;
	memcpy(name->name, dentry->name, room);
	idmap_set(&tree->names, name->dentry, name);
	g_ptr_array_add(inode->names, name);
}

static void add_iter(struct pin_tree *tree, const struct walk_pinned_iter *record)
{
	const struct pin_iter iter = {
		.prog = record->prog,
		.link_id = record->rec.id,
		.prog_id = record->prog_id,
		.attach_btf_id = record->attach_btf_id,
		.btf_id = record->btf_id,
	};

	g_array_append_val(tree->iters, iter);
}

static void take_inode(const struct walk_rec *rec, void *data)
{
	const struct walk_pinned_iter *iter = walk_record(rec, walk_pinned_iter);
	const struct walk_inode *record = walk_record(rec, walk_inode);
	const struct walk_dentry *dentry = walk_record(rec, walk_dentry);
	struct taking *taking = data;

	if (iter)
		add_iter(taking->tree, iter);
	else if (record)
		taking->inode = add_inode(taking->tree, taking->super, record);
	else if (dentry && taking->inode && !idmap_get(&taking->tree->names, dentry->dentry))
		/* For the holders of one object, a directory is emitted once for each pin in it. */
		add_name(taking->tree, taking->inode, dentry);
}

void pin_tree_inodes(struct pin_tree *tree, struct pin_super *super, const GByteArray *records)
{
	struct taking taking = { .tree = tree, .super = super };

	walk_each(records->data, records->len, take_inode, &taking);
}

static const struct pin_name *parent_of(const struct pin_tree *tree, const struct pin_name *name)
{
	return idmap_get(&tree->names, name->parent);
}

/* The length of the path to a name, without its NUL; 0 if the name no longer leads to the root. */
static size_t path_length(const struct pin_tree *tree, const struct pin_name *name)
{
	size_t length = 0;

	for (unsigned int depth = 0; name && depth < DEPTH_MAX; depth++) {
		if (name->parent == name->dentry)
			return length ? length : 1;
		length += strlen(name->name) + 1;
		name = parent_of(tree, name);
	}
	return 0;
}

char *pin_tree_path(const struct pin_tree *tree, const struct pin_name *name)
{
	size_t length = path_length(tree, name);
	char *path, *at;

	if (!length)
		return NULL;
	path = g_malloc(length + 1);
	path[0] = '/';
	path[length] = '\0';
	for (at = path + length; name->parent != name->dentry; name = parent_of(tree, name)) {
		size_t part = strlen(name->name);

		at -= part;
		memcpy(at, name->name, part);
		*--at = '/';
	}
	return path;
}

static bool is_private_dir(const struct pin_name *name)
{
	return name && name->inode->uid == 0 && (name->inode->mode & ~S_IFMT & 07777) == 0700;
}

bool pin_tree_private(const struct pin_tree *tree, const struct pin_name *name)
{
	const struct pin_name *dir = parent_of(tree, name);

	return is_private_dir(dir) && is_private_dir(parent_of(tree, dir));
}

/* ---------------------------------------------------- the instances --- */

/* An instance that changes while it is read is read again at most so often. */
#define TORN_MAX 8

static int walk_supers(struct bpf_loader *walkers, GByteArray *records)
{
	struct walk_control *control = bpf_loader_control(walkers);

	for (unsigned int attempt = 0; attempt < TORN_MAX; attempt++) {
		int err;

		control->sb_at = 0;
		err = object_records_read_all(walkers, "walk_supers", records);
		if (err || control->ended == WALK_DONE)
			return err;
	}
	return -EAGAIN;
}

int pin_tree_prepare(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);
	g_autoptr(GByteArray) records = g_byte_array_new();
	int err = walk_supers(state->walkers, records);

	state->pins = pin_tree_new();
	if (!err)
		pin_tree_supers(state->pins, records);
	return err;
}
