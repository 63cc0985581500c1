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

struct handle_text *handle_text_new(void)
{
	struct handle_text *text = g_new0(struct handle_text, 1);

	g_atomic_ref_count_init(&text->count);
	text->text = g_string_new(NULL);
	return text;
}

static void handle_text_unref(struct handle_text *text)
{
	if (!g_atomic_ref_count_dec(&text->count))
		return;
	g_string_free(text->text, TRUE);
	g_free(text);
}

void handle_unref(struct handle *handle)
{
	if (!g_atomic_ref_count_dec(&handle->count))
		return;
	if (handle->reader)
		events_close(handle->reader);
	handle_text_unref(handle->text);
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
	g_cond_init(&handles->rendered);
	handles->rendering = g_hash_table_new(g_int64_hash, g_int64_equal);
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
	g_hash_table_unref(handles->rendering);
	g_cond_clear(&handles->rendered);
	g_mutex_clear(&handles->lock);
	g_free(handles);
}

/* --------------------------------------------------- sharing of texts --- */

/* Returns the text of an open file of this inode that was rendered from that snapshot, or NULL. */
static struct handle_text *find_text(const struct handles *handles, uint64_t ino,
				     uint64_t started_ns)
{
	gint64 key = (gint64)ino;
	const struct opened *opened = g_hash_table_lookup(handles->by_ino, &key);

	for (guint i = 0; opened && i < opened->handles->len; i++) {
		const struct handle *handle = opened->handles->pdata[i];

		if (handle->text->started_ns == started_ns)
			return handle->text;
	}
	return NULL;
}

bool handles_share(struct handles *handles, struct handle *handle, uint64_t started_ns)
{
	struct handle_text *text;

	g_mutex_lock(&handles->lock);
	while (!(text = find_text(handles, handle->ino, started_ns)) &&
	       g_hash_table_contains(handles->rendering, &handle->ino))
		g_cond_wait(&handles->rendered, &handles->lock);
	if (text) {
		g_atomic_ref_count_inc(&text->count);
		handle_text_unref(handle->text);
		handle->text = text;
	} else {
		g_hash_table_add(handles->rendering, &handle->ino);
		handle->rendering = true;
	}
	g_mutex_unlock(&handles->lock);
	return text != NULL;
}

void handles_rendered(struct handles *handles, struct handle *handle)
{
	if (!handle->rendering)
		return;
	g_mutex_lock(&handles->lock);
	g_hash_table_remove(handles->rendering, &handle->ino);
	handle->rendering = false;
	g_cond_broadcast(&handles->rendered);
	g_mutex_unlock(&handles->lock);
}

/* ----------------------------------------------------------- accounts --- */

/*
 * Checks the limits for one more file, with a text of @bytes that no other file shares. One file
 * may always be open, since otherwise a text larger than the limit could never be read.
 */
static int account_check(const struct account *account, uint64_t bytes, uint64_t room, guint files)
{
	if (account->files >= files)
		return -EMFILE;
	return bytes && account->files && account->bytes + bytes > room ? -ENOMEM : 0;
}

static int handles_check(const struct handles *handles, const struct handle *handle)
{
	const struct handle_text *text = handle->text;
	int err = account_check(&handles->all, text->opens[0] ? 0 : text->text->len, handles->room,
				HANDLES_MAX);

	/* Half of the room is left to root, so that other users cannot keep root from reading. */
	if (!err && handle->others)
		err = account_check(&handles->others, text->opens[1] ? 0 : text->text->len,
				    handles->room / 2, HANDLES_MAX / 2);
	return err;
}

/* Counts a text once in each account, with its first file. */
static void account_add(struct handles *handles, const struct handle *handle, int sign)
{
	struct account *const accounts[] = { &handles->all, &handles->others };
	struct handle_text *text = handle->text;

	for (int i = 0; i < (handle->others ? 2 : 1); i++) {
		accounts[i]->files += (guint)sign;
		text->opens[i] += (guint)sign;
		if (text->opens[i] == (sign > 0 ? 1 : 0))
			accounts[i]->bytes += (uint64_t)((int64_t)text->text->len * sign);
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

		if (!longest || handle->text->text->len > longest->text->text->len)
			longest = handle;
	}
	if (longest && length)
		*length = longest->text->text->len;
	if (longest && when)
		*when = longest->text->when;
	g_mutex_unlock(&handles->lock);
	return longest != NULL;
}

size_t handles_length(struct handles *handles, uint64_t ino)
{
	size_t length = 0;

	handles_peek(handles, ino, &length, NULL);
	return length;
}
