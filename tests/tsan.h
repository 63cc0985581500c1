/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before everything in a build with the thread sanitizer, and only there. GLib's locks are
 * made of futexes and GLib is not instrumented, so the sanitizer cannot see what they order: here it
 * is told. Told of locks, it also checks the order in which they are taken. (pthread_create() and
 * pthread_join(), by which GLib's threads begin and end, it sees by itself.)
 */
#ifndef TSAN_H
#define TSAN_H

#if __has_include(<glib.h>) /* some helpers of the tests know no GLib */
#include <glib.h>
#include <sanitizer/tsan_interface.h>

static inline void tsan_mutex_init(GMutex *mutex)
{
	g_mutex_init(mutex);
	__tsan_mutex_create(mutex, 0);
}

static inline void tsan_mutex_clear(GMutex *mutex)
{
	__tsan_mutex_destroy(mutex, 0);
	g_mutex_clear(mutex);
}

static inline void tsan_mutex_lock(GMutex *mutex)
{
	__tsan_mutex_pre_lock(mutex, 0);
	g_mutex_lock(mutex);
	__tsan_mutex_post_lock(mutex, 0, 0);
}

static inline void tsan_mutex_unlock(GMutex *mutex)
{
	__tsan_mutex_pre_unlock(mutex, 0);
	g_mutex_unlock(mutex);
	__tsan_mutex_post_unlock(mutex, 0);
}

/* Waiting lets go of the lock and takes it again. */
static inline void tsan_cond_wait(GCond *cond, GMutex *mutex)
{
	__tsan_mutex_pre_unlock(mutex, 0);
	__tsan_mutex_post_unlock(mutex, 0);
	g_cond_wait(cond, mutex);
	__tsan_mutex_pre_lock(mutex, 0);
	__tsan_mutex_post_lock(mutex, 0, 0);
}

static inline gboolean tsan_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
	gboolean signalled;

	__tsan_mutex_pre_unlock(mutex, 0);
	__tsan_mutex_post_unlock(mutex, 0);
	signalled = g_cond_wait_until(cond, mutex, end);
	__tsan_mutex_pre_lock(mutex, 0);
	__tsan_mutex_post_lock(mutex, 0, 0);
	return signalled;
}

/* Who drops a count has done with the object before the one who drops the last frees it. */
static inline gboolean tsan_ref_count_dec(gatomicrefcount *count)
{
	gboolean last;

	__tsan_release(count);
	last = g_atomic_ref_count_dec(count);
	if (last)
		__tsan_acquire(count);
	return last;
}

/* What a pool's threads run, and whom it is of. */
struct tsan_pool {
	GFunc function;
	gpointer data;
};

/* One for all pools: the last thread of one frees that, under a lock that the sanitizer does not see. */
static inline char *tsan_pool_ends(void)
{
	static char ends;

	return &ends;
}

/* What was done before something was pushed is over when it is run, as is that when the pool is freed. */
static inline void tsan_pool_run(gpointer pushed, gpointer data)
{
	struct tsan_pool *pool = data;

	__tsan_acquire(pushed);
	pool->function(pushed, pool->data);
	__tsan_release(tsan_pool_ends());
}

static inline GThreadPool *tsan_pool_new(GFunc function, gpointer data, gint max,
					 gboolean exclusive, GError **error)
{
	struct tsan_pool *pool = g_new(struct tsan_pool, 1);

	*pool = (struct tsan_pool){ function, data };
	return g_thread_pool_new(tsan_pool_run, pool, max, exclusive, error);
}

static inline gboolean tsan_pool_push(GThreadPool *pool, gpointer pushed, GError **error)
{
	__tsan_release(pushed);
	return g_thread_pool_push(pool, pushed, error);
}

/* Only ones that are waited for: at the end, where what was told of it goes with the process. */
static inline void tsan_pool_free(GThreadPool *pool, gboolean immediate, gboolean wait)
{
	g_thread_pool_free(pool, immediate, wait);
	__tsan_acquire(tsan_pool_ends());
}

#define g_mutex_init(mutex)		    tsan_mutex_init(mutex)
#define g_mutex_clear(mutex)		    tsan_mutex_clear(mutex)
#define g_mutex_lock(mutex)		    tsan_mutex_lock(mutex)
#define g_mutex_unlock(mutex)		    tsan_mutex_unlock(mutex)
#define g_cond_wait(cond, mutex)	    tsan_cond_wait(cond, mutex)
#define g_cond_wait_until(cond, mutex, end) tsan_cond_wait_until(cond, mutex, end)
#define g_thread_pool_new		    tsan_pool_new
#define g_thread_pool_push		    tsan_pool_push
#define g_thread_pool_free		    tsan_pool_free
#undef g_atomic_ref_count_dec
#define g_atomic_ref_count_dec(count) tsan_ref_count_dec(count)

#endif
#endif
