// SPDX-License-Identifier: GPL-2.0
/*
 * Messages in the queues of unix sockets, with the files that they carry: one reference each
 * (scm_fp_copy(), unix_attach_fds()). The queue of a listening socket has the sockets of
 * connections that were not accepted yet.
 *
 * A message keeps the socket that sent it (sock_alloc_send_pskb() sets skb->sk) until it is read, and
 * so do the connection in a listener's queue and the messages in the connection's own queue. Where
 * such a socket is closed, what it holds is emitted here.
 *
 * A queue is read without its lock. Each step is checked by the pointer back; where that does not
 * match, the walk ends as torn.
 */
#include "bpf/walk.bpf.h"

/* The most files that one message may carry: SCM_MAX_FD. */
#define MESSAGE_MAX  253
#define MESSAGE_ROOM (MESSAGE_MAX * WALK_HELD_ROOM)
#define QUEUE_MAX    (1 << 20)

struct message {
	__u64 files;
};

static int file_step(__u32 index, struct message *message)
{
	__u64 file = 0;

	bpf_probe_read_kernel(&file, sizeof(file),
			      (void *)(message->files + (__u64)index * sizeof(file)));
	if (file)
		walk_emit_held(file, 0, 0, WALK_HOW_MESSAGE);
	return 0;
}

/* This is a global function, so that the verifier checks the loop once. */
int walk_message(__u64 address)
{
	struct scm_fp_list *list = (void *)address;
	struct message message = {};
	short count;

	count = BPF_CORE_READ(list, count);
	message.files = address + bpf_core_field_offset(struct scm_fp_list, fp);
	if (count > 0 && count <= MESSAGE_MAX)
		bpf_loop(count, file_step, &message, 0);
	return 0;
}

static __always_inline void emit_connection(__u64 sock)
{
	struct walk_held *out = walk_room();

	if (!out)
		return;
	__builtin_memset(out, 0, sizeof(*out));
	out->inside = sock;
	out->kind = WALK_HELD_CONNECTION;
	out->how = WALK_HOW_MESSAGE;
	walk_emit(&out->rec, WALK_HELD, sizeof(*out), 0);
}

struct queue {
	__u64 head, at; /* the head of the queue; the current message */
	__u64 before;	/* the one before it */
	__u32 first;	/* how many were emitted by the calls before */
	__u32 number;
	__u32 listens;
	__u64 peer;   /* whose programs walk_use_file() has emitted */
	__u64 sender; /* that of the message before */
	__u32 ended;  /* enum walk_end, -1: goes on */
};

#define QUEUE_GOES_ON ((__u32)-1)

static __always_inline void emit_message(struct queue *queue)
{
	struct sk_buff *skb = (void *)queue->at;
	__u64 control = queue->at + bpf_core_field_offset(struct sk_buff, cb);
	__u64 sock = (__u64)BPF_CORE_READ(skb, sk);
	struct scm_fp_list *list;

	if (!bpf_core_type_exists(struct unix_skb_parms))
		return; /* a kernel without CONFIG_UNIX */
	list = BPF_CORE_READ((struct unix_skb_parms *)control, fp);
	if (queue->listens && sock)
		emit_connection(sock);
	else if (list)
		walk_message((__u64)list);
}

/*
 * Emits what the message's closed sender holds. While the message is in the queue the sender is not
 * freed; if it has left the queue meanwhile, what was read may be of anything.
 */
static __always_inline void emit_sender(struct queue *queue)
{
	struct sk_buff *skb = (void *)queue->at;
	__u64 sender = (__u64)BPF_CORE_READ(skb, sk);
	__u32 len = walk.len;

	if (queue->listens && sender)
		sender = (__u64)BPF_CORE_READ((struct unix_sock *)sender, peer);
	if (!sender || sender == queue->peer || sender == queue->sender)
		return;
	queue->sender = sender;
	walk_use_closed(sender, walk.inside_fd);
	if (walk.len != len && (__u64)BPF_CORE_READ(skb, prev) != queue->before) {
		walk.len = len;
		queue->ended = WALK_TORN;
	}
}

static int queue_step(__u32 index, struct queue *queue)
{
	struct sk_buff *skb = (void *)queue->at;

	if (queue->at == queue->head)
		queue->ended = WALK_DONE;
	else if (!skb || (__u64)BPF_CORE_READ(skb, prev) != queue->before)
		queue->ended = WALK_TORN;
	else if (walk_full(MESSAGE_ROOM + WALK_USE_ROOM))
		queue->ended = WALK_FULL;
	if (queue->ended != QUEUE_GOES_ON)
		return 1;
	if (queue->number >= queue->first) {
		emit_message(queue);
		emit_sender(queue);
	}
	if (queue->ended != QUEUE_GOES_ON)
		return 1;
	queue->number++;
	queue->before = queue->at;
	queue->at = (__u64)BPF_CORE_READ(skb, next);
	return 0;
}

/* Emits the queue of walk.inside, a struct sock of AF_UNIX, from its message walk.inside_at on. */
SEC("syscall")
int walk_queue(void *ctx)
{
	struct sock *sk = (void *)walk.inside;
	struct queue queue = { .first = walk.inside_at, .ended = QUEUE_GOES_ON };

	walk_table.emitted = 1; /* the files belong to the process that led to the socket */
	queue.head = (__u64)sk + bpf_core_field_offset(struct sock, sk_receive_queue);
	queue.before = queue.head;
	queue.at = (__u64)BPF_CORE_READ(sk, sk_receive_queue.next);
	if (bpf_core_type_exists(struct unix_sock))
		queue.peer = (__u64)BPF_CORE_READ((struct unix_sock *)sk, peer);
	queue.listens = BPF_CORE_READ(sk, __sk_common.skc_state) == BPF_TCP_LISTEN;
	bpf_loop(QUEUE_MAX, queue_step, &queue, 0);
	if (queue.ended == QUEUE_GOES_ON) {
		walk_emit_gap(WALK_GAP_MESSAGES);
		queue.ended = WALK_DONE;
	}
	walk.inside_at = queue.number;
	walk.ended = queue.ended;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
