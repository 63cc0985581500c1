/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libfuse, and the only place that knows its versions: 3.14 to 3.18. Included by session.c, ops.c
 * and ops-io.c alone.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312 /* loop configurations as opaque objects */
#endif
#include <fuse_lowlevel.h>
#include <linux/fuse.h>

#ifndef HAVE_FUSE_SET_FEATURE_FLAG
#define HAVE_FUSE_SET_FEATURE_FLAG 0
#endif

_Static_assert(sizeof(fuse_ino_t) == sizeof(uint64_t), "inode numbers carry 64 bits");

/*
 * Asks for a capability, or gives one up. conn->want has 32 bits; libfuse 3.17.3 brought a wider
 * word and refuses a connection where the two were both written to.
 */
static inline void compat_want(struct fuse_conn_info *conn, uint32_t capability, bool want)
{
#if HAVE_FUSE_SET_FEATURE_FLAG
	if (want)
		fuse_set_feature_flag(conn, capability);
	else
		fuse_unset_feature_flag(conn, capability);
#else
	if (!want)
		conn->want &= ~capability;
	else if (conn->capable & capability)
		conn->want |= capability;
#endif
}

/*
 * No handles of files, as bpffs has none: else the kernel makes them itself, of numbers that mean
 * nothing once it has forgotten them. libfuse 3.17, Linux 6.9; before those they cannot be refused.
 */
static inline void compat_refuse_handles(struct fuse_conn_info *conn)
{
#ifdef FUSE_CAP_NO_EXPORT_SUPPORT
	compat_want(conn, FUSE_CAP_NO_EXPORT_SUPPORT, true);
#else
	(void)conn;
#endif
}

/*
 * Replies to an open of a file that is a stream. libfuse knows only nonseekable, with which the kernel
 * still locks the file's position over each read: who shares an open file with one whose read waits
 * would then wait for that lock, and not even SIGKILL ends that.
 */
static inline int compat_reply_stream(fuse_req_t req, const struct fuse_file_info *fi)
{
	struct fuse_open_out out = { .fh = fi->fh, .open_flags = FOPEN_DIRECT_IO | FOPEN_STREAM };

	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

/*
 * Serves requests by as many threads as @threads until the file system is unmounted or a signal
 * says so. 0, the signal's number, or -errno. libfuse looks whether it shall end, and then sleeps: until
 * 3.18 it sleeps on for a signal in between, so another must come.
 */
static inline int compat_loop(struct fuse_session *session, unsigned int threads)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int err;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(config, threads);
	err = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	/* A lazy umount while a request waits, or an abort by /sys/fs/fuse/connections: an end too. */
	return err == -ECONNABORTED ? 0 : err;
}

#endif
