// SPDX-License-Identifier: GPL-2.0-or-later
/* Rules of netfilter with a program, without iptables and nft. */
#include "mk-net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_bpf.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* -------------------------------------------------------- old tables --- */

enum { BLOB = 8192, HOOKS = NF_INET_NUMHOOKS };

/*
 * A set of rules that is being written: struct ipt_replace with its entries behind it. That of IPv6
 * is the same but for the entries, whose beginning is longer.
 */
struct blob {
	union {
		struct ipt_replace replace;
		char space[BLOB];
	};
	bool v6;
};

/* Returns where its matches are to be. */
static void *entry_add(struct blob *blob, size_t match, size_t target)
{
	char *at = blob->space + sizeof(blob->replace) + blob->replace.size;
	size_t head = blob->v6 ? sizeof(struct ip6t_entry) : sizeof(struct ipt_entry);
	struct ip6t_entry *v6 = (void *)at;
	struct ipt_entry *v4 = (void *)at;

	if (blob->v6) {
		v6->target_offset = (__u16)(head + match);
		v6->next_offset = (__u16)(head + match + target);
	} else {
		v4->target_offset = (__u16)(head + match);
		v4->next_offset = (__u16)(head + match + target);
	}
	blob->replace.size += (unsigned int)(head + match + target);
	blob->replace.num_entries++;
	return at + head;
}

static void standard_target(struct xt_standard_target *target)
{
	target->target.u.user.target_size = XT_ALIGN(sizeof(*target));
	target->verdict = -NF_ACCEPT - 1;
}

/* A rule: everything that the program takes is accepted. */
static void rule_add(struct blob *blob, int prog)
{
	size_t size =
		XT_ALIGN(sizeof(struct xt_entry_match)) + XT_ALIGN(sizeof(struct xt_bpf_info_v1));
	struct xt_entry_match *match =
		entry_add(blob, size, XT_ALIGN(sizeof(struct xt_standard_target)));
	struct xt_bpf_info_v1 *info = (void *)match->data;

	match->u.user.match_size = (__u16)size;
	match->u.user.revision = 1;
	strcpy(match->u.user.name, "bpf");
	info->mode = XT_BPF_MODE_FD_ELF;
	info->fd = prog;
	standard_target((void *)((char *)match + size));
}

static void policy_add(struct blob *blob)
{
	standard_target(entry_add(blob, 0, XT_ALIGN(sizeof(struct xt_standard_target))));
}

static void error_add(struct blob *blob, const char *name)
{
	size_t size = XT_ALIGN(sizeof(struct xt_error_target));
	struct xt_error_target *target = entry_add(blob, 0, size);

	target->target.u.user.target_size = (__u16)size;
	strcpy(target->target.u.user.name, XT_ERROR_TARGET);
	strncpy(target->errorname, name, sizeof(target->errorname) - 1);
}

/* Each chain of the table: @rules of them in the first, then the policy. */
static void chains_add(struct blob *blob, int prog, int rules)
{
	bool first = true;

	for (int hook = 0; hook < HOOKS; hook++) {
		if (!(blob->replace.valid_hooks & 1U << hook))
			continue;
		blob->replace.hook_entry[hook] = blob->replace.size;
		for (int i = 0; first && i < rules; i++)
			rule_add(blob, prog);
		first = false;
		blob->replace.underflow[hook] = blob->replace.size;
		policy_add(blob);
	}
}

/* A table's rules become so many in its first chain, and in a chain @named unless that is "-". */
static int replace(struct blob *blob, int sock, int prog, int rules, const char *named)
{
	int level = blob->v6 ? IPPROTO_IPV6 : IPPROTO_IP, error = 0;

	blob->replace.counters = calloc(blob->replace.num_counters, sizeof(struct xt_counters));
	chains_add(blob, prog, rules);
	if (rules && strcmp(named, "-") != 0) {
		error_add(blob, named);
		for (int i = 0; i < rules; i++)
			rule_add(blob, prog);
		policy_add(blob);
	}
	error_add(blob, XT_ERROR_TARGET);
	/* the same number for both */
	if (setsockopt(sock, level, IPT_SO_SET_REPLACE, blob->space,
		       (socklen_t)(sizeof(blob->replace) + blob->replace.size)) < 0)
		error = -errno;
	free(blob->replace.counters);
	return error;
}

/* xt PIN TABLE RULES CHAIN; a table of IPv6 with a 6 before its name. 0 rules remove them all. */
int mk_xt(int prog, char **args)
{
	bool v6 = args[0][0] == '6';
	int sock = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), error;
	struct ipt_getinfo info = { 0 };
	socklen_t size = sizeof(info);
	static struct blob blob;

	if (sock < 0)
		return -errno;
	blob.v6 = v6;
	strncpy(info.name, args[0] + v6, sizeof(info.name) - 1);
	if (getsockopt(sock, v6 ? IPPROTO_IPV6 : IPPROTO_IP, IPT_SO_GET_INFO, &info, &size) < 0) {
		error = -errno;
	} else {
		memcpy(blob.replace.name, info.name, sizeof(info.name));
		blob.replace.valid_hooks = info.valid_hooks;
		blob.replace.num_counters = info.num_entries;
		error = replace(&blob, sock, prog, atoi(args[1]), args[2]);
	}
	close(sock);
	return error;
}

/* ----------------------------------------------------------- nftables --- */

struct batch {
	char space[BLOB];
	size_t size;
	unsigned int count;
};

static struct nlmsghdr *message(struct batch *batch, int type, int flags, int family)
{
	struct nlmsghdr *header = (void *)(batch->space + batch->size);
	struct nfgenmsg *body = NLMSG_DATA(header);

	header->nlmsg_len = NLMSG_LENGTH(sizeof(*body));
	header->nlmsg_type = (__u16)type;
	header->nlmsg_flags = (__u16)(NLM_F_REQUEST | flags);
	header->nlmsg_seq = ++batch->count;
	body->nfgen_family = (__u8)family;
	if (type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END)
		body->res_id = htons(NFNL_SUBSYS_NFTABLES);
	batch->size += header->nlmsg_len;
	return header;
}

static struct nlattr *attribute(struct batch *batch, struct nlmsghdr *header, int type,
				const void *data, size_t size)
{
	struct nlattr *attr = (void *)(batch->space + batch->size);

	attr->nla_type = (__u16)type;
	attr->nla_len = (__u16)(NLA_HDRLEN + size);
	if (size)
		memcpy((char *)attr + NLA_HDRLEN, data, size);
	batch->size += NLA_ALIGN(attr->nla_len);
	header->nlmsg_len += NLA_ALIGN(attr->nla_len);
	return attr;
}

static void text(struct batch *batch, struct nlmsghdr *header, int type, const char *value)
{
	attribute(batch, header, type, value, strlen(value) + 1);
}

static void number(struct batch *batch, struct nlmsghdr *header, int type, uint32_t value)
{
	value = htonl(value);
	attribute(batch, header, type, &value, sizeof(value));
}

static struct nlattr *nest(struct batch *batch, struct nlmsghdr *header, int type)
{
	return attribute(batch, header, type | NLA_F_NESTED, NULL, 0);
}

static void nest_end(const struct batch *batch, struct nlattr *attr)
{
	attr->nla_len = (__u16)(batch->space + batch->size - (char *)attr);
}

enum { CREATE = NLM_F_CREATE | NLM_F_ACK };

static struct nlmsghdr *nft_message(struct batch *batch, int type, int flags)
{
	return message(batch, NFNL_SUBSYS_NFTABLES << 8 | type, flags, NFPROTO_IPV4);
}

static void add_chain(struct batch *batch, const char *table, const char *chain)
{
	struct nlmsghdr *header = nft_message(batch, NFT_MSG_NEWCHAIN, CREATE);
	struct nlattr *hook;

	text(batch, header, NFTA_CHAIN_TABLE, table);
	text(batch, header, NFTA_CHAIN_NAME, chain);
	if (strcmp(chain, "user") == 0)
		return;
	hook = nest(batch, header, NFTA_CHAIN_HOOK);
	number(batch, header, NFTA_HOOK_HOOKNUM,
	       strcmp(chain, "nat") ? NF_INET_LOCAL_IN : NF_INET_PRE_ROUTING);
	number(batch, header, NFTA_HOOK_PRIORITY, strcmp(chain, "nat") ? 0 : (uint32_t)-100);
	nest_end(batch, hook);
	text(batch, header, NFTA_CHAIN_TYPE, strcmp(chain, "nat") ? "filter" : "nat");
}

static void add_rule(struct batch *batch, const char *table, const char *chain, int prog)
{
	struct xt_bpf_info_v1 info = { .mode = XT_BPF_MODE_FD_ELF, .fd = prog };
	struct nlmsghdr *header = nft_message(batch, NFT_MSG_NEWRULE, CREATE | NLM_F_APPEND);
	struct nlattr *exprs, *expr, *data;

	text(batch, header, NFTA_RULE_TABLE, table);
	text(batch, header, NFTA_RULE_CHAIN, chain);
	exprs = nest(batch, header, NFTA_RULE_EXPRESSIONS);
	expr = nest(batch, header, NFTA_LIST_ELEM);
	text(batch, header, NFTA_EXPR_NAME, "counter");
	nest_end(batch, expr);
	expr = nest(batch, header, NFTA_LIST_ELEM);
	text(batch, header, NFTA_EXPR_NAME, "match");
	data = nest(batch, header, NFTA_EXPR_DATA);
	text(batch, header, NFTA_MATCH_NAME, "bpf");
	number(batch, header, NFTA_MATCH_REV, 1);
	attribute(batch, header, NFTA_MATCH_INFO, &info, sizeof(info));
	nest_end(batch, data);
	nest_end(batch, expr);
	nest_end(batch, exprs);
}

/* Sends a batch; the first error that comes back. */
static int batch_send(struct batch *batch, unsigned int acks)
{
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), error = 0;
	struct timeval patience = { .tv_sec = 5 };
	union {
		struct nlmsghdr header;
		char space[BLOB];
	} answer;

	if (sock < 0)
		return -errno;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(sock, batch->space, batch->size, 0) < 0)
		error = -errno;
	while (!error && acks--) {
		const struct nlmsgerr *said = NLMSG_DATA(&answer.header);

		if (recv(sock, &answer, sizeof(answer), 0) < 0)
			error = -errno;
		else if (answer.header.nlmsg_type == NLMSG_ERROR)
			error = said->error;
	}
	close(sock);
	return error;
}

/* nft PIN TABLE CHAIN RULES: filter, nat and user are chains; 0 rules remove the table. */
int mk_nft(int prog, char **args)
{
	static struct batch batch;
	int rules = atoi(args[2]);
	struct nlmsghdr *header;

	message(&batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC);
	header = nft_message(&batch, rules ? NFT_MSG_NEWTABLE : NFT_MSG_DELTABLE,
			     rules ? CREATE : NLM_F_ACK);
	text(&batch, header, NFTA_TABLE_NAME, args[0]);
	if (rules)
		add_chain(&batch, args[0], args[1]);
	for (int i = 0; i < rules; i++)
		add_rule(&batch, args[0], args[1], prog);
	message(&batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC);
	return batch_send(&batch, rules ? 2 + (unsigned int)rules : 1);
}
