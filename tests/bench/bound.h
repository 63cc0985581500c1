/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the bare walks and their driver share. */
#ifndef BOUND_H
#define BOUND_H

#define BOUND_RECORDS (1 << 18)

struct bound_record {
	__u64 file, object;
	__u32 tgid, fd;
};

struct bound_state {
	__u64 release[4]; /* of the files of maps, programs, links, BTFs */
	__u64 probed;
	__u32 probe_fd;
	__u32 found; /* records */
	__u32 seen;  /* open descriptors */
	__u32 pad;
};

#endif
