/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake kernel made of the fuzzer's bytes, in place of lib/uapi/syscalls.c and
 * lib/kernel/bpf_loader.c. The bytes are chunks: the BPF program that wrote the records, how it
 * ended, the length, and the records.
 */
#ifndef WORLD_H
#define WORLD_H

#include "kernel/bpf_loader.h"
#include "uapi/syscalls.h"

/* The header of a chunk. */
struct chunk {
	uint8_t program; /* its index in world_programs */
	uint8_t ended;	 /* bits 0-1: enum walk_end; 2: the object was freed meanwhile; 3: -EIO */
	uint8_t len[2];	 /* of the records that follow, little endian */
};

extern const char *const world_programs[];
unsigned int world_program_count(void);

/* Reads the chunk at @at, cut to the remaining bytes; returns false at the end. */
bool world_chunk(const uint8_t *data, size_t size, size_t at, struct chunk *chunk, size_t *len);

struct bpf_loader *world_new(const uint8_t *data, size_t size);
void world_free(struct bpf_loader *loader);

/* Called for each name that is pinned, if it is set. */
extern void (*world_pinned)(int dir_fd, const char *name);

#endif
