// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mkobj net NETNS COMMAND PIN ...: attaches the pinned program in a network namespace (a path, or "-"
 * for our own), where ip and tc cannot. It holds nothing itself, except for links: then it prints
 * "key=link/ID fd=NUMBER" and waits for the end of its input.
 */
#include "mk-net.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mkobj.h"

/* Values that the floor's headers do not have. */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47, NETKIT_PRIMARY = 54, NETKIT_PEER = 55 };

static int enter(const char *path)
{
	int fd, error;

	if (strcmp(path, "-") == 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	error = setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
	close(fd);
	return error;
}

static int type_of(const char *name)
{
	static const struct {
		const char *name;
		int type;
	} types[] = {
		{ "ingress", TCX_INGRESS },
		{ "egress", TCX_EGRESS },
		{ "primary", NETKIT_PRIMARY },
		{ "peer", NETKIT_PEER },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	return -1;
}

/* Prints what the link is and holds it while somebody writes to us. */
static int hold(int link)
{
	char byte, key[KEY_ROOM];

	if (link < 0)
		return link;
	printf("key=%s fd=%d\n", key_of(link, key), link);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	close(link);
	return 0;
}

/* tcx PIN IFNAME ingress|egress; netkit PIN IFNAME primary|peer, both through the primary device */
static int cmd_attach(int prog, char **args)
{
	return bpf_prog_attach(prog, (int)if_nametoindex(args[0]), type_of(args[1]), 0);
}

/* tcx-off PIN IFNAME ingress|egress */
static int cmd_detach(int prog, char **args)
{
	return bpf_prog_detach2(prog, (int)if_nametoindex(args[0]), type_of(args[1]));
}

/* tcx-last PIN IFNAME ingress|egress: whatever is last there, as "bpftool net detach" since 7.5 */
static int cmd_detach_last(int prog, char **args)
{
	(void)prog;
	return bpf_prog_detach((int)if_nametoindex(args[0]), type_of(args[1]));
}

/* tcx-link, netkit-link: the same by a link */
static int cmd_link(int prog, char **args)
{
	int link = bpf_link_create(prog, (int)if_nametoindex(args[0]), type_of(args[1]), NULL);

	close(prog);
	return hold(link);
}

/* xdp-link PIN IFNAME generic|driver */
static int cmd_xdp_link(int prog, char **args)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	int link;

	opts.flags = strcmp(args[1], "driver") == 0 ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	link = bpf_link_create(prog, (int)if_nametoindex(args[0]), BPF_XDP, &opts);
	close(prog);
	return hold(link);
}

/* dissector PIN on|off */
static int cmd_dissector(int prog, char **args)
{
	if (strcmp(args[0], "off") == 0)
		return bpf_prog_detach2(prog, 0, BPF_FLOW_DISSECTOR);
	return bpf_prog_attach(prog, 0, BPF_FLOW_DISSECTOR, 0);
}

static const struct {
	const char *name;
	int args;
	int (*run)(int prog, char **args);
} commands[] = {
	/* clang-format off */
	{ "tcx",         2, cmd_attach },
	{ "tcx-off",     2, cmd_detach },
	{ "tcx-last",    2, cmd_detach_last },
	{ "tcx-link",    2, cmd_link },
	{ "netkit",      2, cmd_attach },
	{ "netkit-link", 2, cmd_link },
	{ "xdp-link",    2, cmd_xdp_link },
	{ "dissector",   1, cmd_dissector },
	{ "xt",          3, mk_xt },
	{ "nft",         3, mk_nft },
	/* clang-format on */
};

int net_run(char **args)
{
	int error, count = 0, prog = bpf_obj_get(args[2]);

	libbpf_set_print(NULL);
	/* before the namespace is entered: the pin is in ours */
	if (prog < 0)
		return prog;
	error = enter(args[0]);
	if (error)
		return error;
	while (args[3 + count])
		count++;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(commands[i].name, args[1]) == 0 && count >= commands[i].args)
			return commands[i].run(prog, args + 3);
	return -ENOSYS;
}
