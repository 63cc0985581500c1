// SPDX-License-Identifier: GPL-2.0
/*
 * KCM sockets: each TCP connection that was attached to one holds the program that finds the
 * messages in its stream (kcm_attach()). The connections belong to the multiplexor, which several
 * KCM sockets may share.
 */
#include "bpf/walk.bpf.h"

/* The most connections of one multiplexor that are followed. */
#define PSOCKS_MAX 65536

/* Room that is left for the rest of this step of a descriptor table. */
#define AFTER_PSOCKS (32 * WALK_USE_ROOM)

struct psocks {
	__u64 sock, head, at;
	__u32 fd, pad;
};

static int psock_step(__u32 index, struct psocks *psocks)
{
	struct list_head *node = (void *)psocks->at;
	struct kcm_psock *psock;

	if (psocks->at == psocks->head || !psocks->at || walk_full(AFTER_PSOCKS))
		return 1;
	psock = (void *)(psocks->at - bpf_core_field_offset(struct kcm_psock, psock_list));
	walk_emit_sock(psocks->sock, (__u64)psock, WALK_USE_KCM | 1ull << 32,
		       walk_prog_id(BPF_CORE_READ(psock, bpf_prog)), psocks->fd);
	psocks->at = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

int walk_use_kcm(__u64 sock, __u32 fd)
{
	struct kcm_sock *kcm = (void *)sock;
	struct psocks psocks = { .sock = sock, .fd = fd };
	struct kcm_mux *mux;

	if (!bpf_core_type_exists(struct kcm_psock)) {
		walk_emit_gap(WALK_GAP_KCM); /* its module was loaded after our programs */
		return 0;
	}
	mux = BPF_CORE_READ(kcm, mux);
	if (!mux)
		return 0;
	psocks.head = (__u64)mux + bpf_core_field_offset(struct kcm_mux, psocks);
	psocks.at = (__u64)BPF_CORE_READ(mux, psocks.next);
	bpf_loop(PSOCKS_MAX, psock_step, &psocks, 0);
	if (psocks.at != psocks.head)
		walk_emit_gap(WALK_GAP_KCM);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
