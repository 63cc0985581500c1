/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Includes libfuse, and contains all code that depends on its version (3.14 to 3.18). Only
 * session.c and the files below fs/fuse include it.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312 /* loop configurations are opaque objects */
#endif
#include <fuse_lowlevel.h>
#include <linux/fuse.h>

#ifndef HAVE_FUSE_SET_FEATURE_FLAG
#define HAVE_FUSE_SET_FEATURE_FLAG 0
#endif

_Static_assert(sizeof(fuse_ino_t) == sizeof(uint64_t), "inode numbers carry 64 bits");

/*
 * Requests a capability, or gives one up. conn->want has 32 bits. libfuse 3.17.3 added a wider
 * word, and refuses the connection if both words were written.
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
 * Disables file handles (name_to_handle_at(2)), as bpffs has none. Otherwise the kernel makes
 * handles from node ids, which mean nothing once it has forgotten the nodes. This needs libfuse
 * 3.17 and Linux 6.9; older ones cannot disable them.
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
 * Replies to an open of a file that is a stream (stream_open()). libfuse can only set
 * nonseekable, with which the kernel still holds the lock of the file position during each read
 * (fdget_pos()). A second reader of the same open file would then wait for that lock while the
 * first read waits, and not even SIGKILL ends that.
 */
static inline int compat_reply_stream(fuse_req_t req, const struct fuse_file_info *fi)
{
	struct fuse_open_out out = { .fh = fi->fh, .open_flags = FOPEN_DIRECT_IO | FOPEN_STREAM };

	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

/*
 * Serves requests with at most @threads threads until the filesystem is unmounted or a signal
 * arrives. Returns 0, the signal's number, or -errno. libfuse checks whether the session ended
 * and then sleeps. Until 3.18 it misses a signal that arrives in between, so the signal must be
 * repeated.
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
	/*
	 * ECONNABORTED follows from a lazy umount while a request waits, or from an abort through
	 * /sys/fs/fuse/connections. Both are an orderly end.
	 */
	return err == -ECONNABORTED ? 0 : err;
}

#endif
