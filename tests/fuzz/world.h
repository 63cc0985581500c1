/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel made of the fuzzer's bytes, in place of lib/bpf.c and lib/walkers.c. The bytes are chunks:
 * which BPF program they are the answer of, how it ended, how long, and its records.
 */
#ifndef WORLD_H
#define WORLD_H

#include "kernel/bpf_loader.h"
#include "uapi/syscalls.h"

/* One chunk's head. */
struct chunk {
	uint8_t program; /* its place in world_programs */
	uint8_t ended;	 /* bits 0-1: enum walk_end; 2: what was walked over is gone; 3: -EIO */
	uint8_t len[2];	 /* of the records that follow, little endian */
};

extern const char *const world_programs[];
unsigned int world_program_count(void);

/* The chunk at @at, cut to what is there; false at the end. */
bool world_chunk(const uint8_t *data, size_t size, size_t at, struct chunk *chunk, size_t *len);

struct bpf_loader *world_new(const uint8_t *data, size_t size);
void world_free(struct bpf_loader *walkers);

/* Called for each name that is to be pinned, if set. */
extern void (*world_pinned)(int dir_fd, const char *name);

#endif
