/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a link is attached, in the words of ip(8), tc(8) and bpftool(8). bpf(2) has only numbers for
 * most of it, and nothing for some.
 */
#ifndef BPFREFS_LINK_WORDS_H
#define BPFREFS_LINK_WORDS_H

#include "snapshot/private.h"

/*
 * What is read for one link, or with @id 0 for all of them: their locations from the source, with
 * ctx->lock held, and names when they are first needed.
 */
struct link_words;
struct link_words *link_words_new(struct bpfrefs_ctx *ctx, uint32_t id);
void link_words_free(struct link_words *words); /* NULL is allowed */

/*
 * Adds to the facts about the link @id where it is attached: ifname, netns, netns_name, cgroup,
 * function, tracepoint, path, target, position, pid, cpu, as they apply. A fact that bpf(2) has under
 * another name is there under both. What could not be read is BPFREFS_UNKNOWN. @info is that of any
 * object: there is nothing to add to that of others than links.
 */
void link_words_add(struct link_words *words, uint32_t id, struct bpfrefs_info *info);

/* The name in /run/netns of a network namespace, valid as long as @words; NULL if it has none there. */
const char *link_words_netns(struct link_words *words, uint64_t netns);

#endif
