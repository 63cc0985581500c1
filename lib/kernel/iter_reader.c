/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/iter_reader.h"

#include <unistd.h>

/* After so many consecutive reads without a record the iterator is given up. */
#define EMPTY_READS_MAX 4096

void iter_reader_begin(struct iter_reader *reading)
{
	struct walk_control *control = reading->control;

	control->len = 0;
	control->resume_key = 0;
	control->last_nsproxy = 0;
	control->last_root = 0;
	control->self_pid = (uint32_t)getpid();
	control->self_fd = (uint32_t)reading->fd;
	reading->idle = 0;
	reading->pending = false;
}

/* Reads the iterator once. Returns 0 at its end, 1 if there is more to read, or -errno. */
static int read_once(int fd)
{
	char nothing[64]; /* our programs write to their own buffer only */
	ssize_t n = read(fd, nothing, sizeof(nothing));

	if (n == 0)
		return 0;
	/*
	 * EAGAIN: the buffer is full (walk_later()), or bpf_seq_read() has visited
	 * MAX_ITER_OBJECTS objects.
	 */
	return n > 0 || errno == EAGAIN || errno == EINTR ? 1 : -errno;
}

int iter_reader_next(void *data, const void **records, uint32_t *len)
{
	struct iter_reader *reading = data;
	int more = reading->pending ? 1 : read_once(reading->fd);

	reading->pending = false;
	*records = reading->out;
	*len = MIN(reading->control->len, (uint32_t)WALK_OUT_SIZE);
	reading->control->len = 0;
	reading->idle = *len ? 0 : reading->idle + 1;
	return more > 0 && reading->idle >= EMPTY_READS_MAX ? -ELOOP : more;
}

int iter_reader_all(struct iter_reader *reading, walk_fn fn, void *data, bool *took_long)
{
	struct prefetch *prefetch;
	const void *records;
	uint32_t len;
	int more;

	do {
		more = iter_reader_next(reading, &records, &len);
		/* To start a thread takes longer than to decode a few records. */
		if (more > 0 && len > WALK_OUT_SIZE / 4 && !*took_long) {
			*took_long = true;
			reading->control->len = len;
			reading->pending = true;
			prefetch = prefetch_begin(iter_reader_next, reading);
			if (prefetch)
				return prefetch_end(prefetch, NULL, fn, data);
			iter_reader_next(reading, &records, &len);
		}
		walk_each(records, len, fn, data);
	} while (more > 0);
	return more;
}
