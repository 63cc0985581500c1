/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of open virtual files: which are open, what they take, and how long their texts are. */
#include "tree/handle.h"

#include <errno.h>

#include "events/events.h"

/* The limit of open virtual files. The kernel and the daemon allocate memory for each of them. */
#define HANDLES_MAX 65536

struct handle *handle_ref(struct handle *handle)
{
	g_atomic_ref_count_inc(&handle->count);
	return handle;
}

void handle_unref(struct handle *handle)
{
	if (!g_atomic_ref_count_dec(&handle->count))
		return;
	if (handle->reader)
		events_close(handle->reader);
	g_string_free(handle->text, TRUE);
	g_free(handle);
}

/* ----------------------------------------------------------- registry --- */

static void opened_free(gpointer data)
{
	struct opened *opened = data;

	g_ptr_array_unref(opened->handles);
	g_free(opened);
}

struct handles *handles_new(uint64_t room)
{
	struct handles *handles = g_new0(struct handles, 1);

	handles->room = room;
	g_cond_init(&handles->made);
	handles->in_making = g_hash_table_new(NULL, NULL);
	g_mutex_init(&handles->lock);
	handles->by_ino = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, opened_free);
	return handles;
}

/* When the kernel unmounts, it does not wait for the last files to be released. */
static void release_all(struct handles *handles)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, handles->by_ino);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct opened *opened = value;

		for (guint i = 0; i < opened->handles->len; i++)
			handle_unref(opened->handles->pdata[i]);
	}
}

void handles_free(struct handles *handles)
{
	if (!handles)
		return;
	release_all(handles);
	g_hash_table_unref(handles->by_ino);
	g_hash_table_unref(handles->in_making);
	g_cond_clear(&handles->made);
	g_mutex_clear(&handles->lock);
	g_free(handles);
}

/*
 * Checks the limits for one more text of @bytes. One file may always be open, since otherwise a
 * text larger than the limit could never be read.
 */
static int account_check(const struct account *account, uint64_t bytes, uint64_t room, guint files)
{
	if (account->files >= files)
		return -EMFILE;
	return account->files && account->bytes + bytes > room ? -ENOMEM : 0;
}

static int handles_check(const struct handles *handles, const struct handle *handle)
{
	uint64_t bytes = handle->text->len;
	int err = account_check(&handles->all, bytes, handles->room, HANDLES_MAX);

	/* Half of the room is left to root, so that other users cannot keep root from reading. */
	if (!err && handle->others)
		err = account_check(&handles->others, bytes, handles->room / 2, HANDLES_MAX / 2);
	return err;
}

static void account_add(struct handles *handles, const struct handle *handle, int sign)
{
	struct account *const accounts[] = { &handles->all, &handles->others };

	for (int i = 0; i < (handle->others ? 2 : 1); i++) {
		accounts[i]->files += (guint)sign;
		accounts[i]->bytes += (uint64_t)((int64_t)handle->text->len * sign);
	}
}

/* Returns -ENOMEM or -EMFILE if a limit is reached. */
int handles_add(struct handles *handles, struct handle *handle)
{
	gint64 ino = (gint64)handle->ino;
	struct opened *opened;
	int err;

	g_mutex_lock(&handles->lock);
	err = handles_check(handles, handle);
	if (err) {
		g_mutex_unlock(&handles->lock);
		return err;
	}
	account_add(handles, handle, 1);
	opened = g_hash_table_lookup(handles->by_ino, &ino);
	if (!opened) {
		opened = g_new0(struct opened, 1);
		opened->ino = ino;
		opened->handles = g_ptr_array_new();
		g_hash_table_insert(handles->by_ino, &opened->ino, opened);
	}
	g_ptr_array_add(opened->handles, handle);
	g_mutex_unlock(&handles->lock);
	return 0;
}

void handles_remove(struct handles *handles, struct handle *handle)
{
	gint64 ino = (gint64)handle->ino;
	struct opened *opened;

	g_mutex_lock(&handles->lock);
	opened = g_hash_table_lookup(handles->by_ino, &ino);
	if (opened && g_ptr_array_remove_fast(opened->handles, handle)) {
		account_add(handles, handle, -1);
		if (!opened->handles->len)
			g_hash_table_remove(handles->by_ino, &ino);
	}
	g_mutex_unlock(&handles->lock);
}

bool handles_peek(struct handles *handles, uint64_t ino, size_t *length, struct timespec *when)
{
	const struct handle *longest = NULL;
	const struct opened *opened;
	gint64 key = (gint64)ino;

	if (!handles)
		return false;
	g_mutex_lock(&handles->lock);
	opened = g_hash_table_lookup(handles->by_ino, &key);
	for (guint i = 0; opened && i < opened->handles->len; i++) {
		const struct handle *handle = opened->handles->pdata[i];

		if (!longest || handle->text->len > longest->text->len)
			longest = handle;
	}
	if (longest && length)
		*length = longest->text->len;
	if (longest && when)
		*when = longest->when;
	g_mutex_unlock(&handles->lock);
	return longest != NULL;
}

size_t handles_length(struct handles *handles, uint64_t ino)
{
	size_t length = 0;

	handles_peek(handles, ino, &length, NULL);
	return length;
}
