// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mk-net NETNS COMMAND PIN ...: attaches the pinned program in a network namespace (a path, or "-"
 * for our own), where ip and tc do not know how. It holds nothing itself, but for links: then it
 * says "key=link/ID" and waits for the end of its input.
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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int tcx_type(const char *direction)
{
	return strcmp(direction, "egress") == 0 ? TCX_EGRESS : TCX_INGRESS;
}

/* Says what the link is and holds it while somebody writes to us. */
static int hold(int link)
{
	struct bpf_link_info info = { 0 };
	unsigned int length = sizeof(info);
	char byte;

	if (link < 0)
		return link;
	if (bpf_obj_get_info_by_fd(link, &info, &length) < 0)
		return -errno;
	printf("key=link/%u fd=%d\n", info.id, link);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	close(link);
	return 0;
}

/* tcx PIN IFNAME ingress|egress */
static int cmd_tcx(int prog, char **args)
{
	int ifindex = (int)if_nametoindex(args[0]);

	return bpf_prog_attach(prog, ifindex, tcx_type(args[1]), 0) < 0 ? -errno : 0;
}

/* tcx-off PIN IFNAME ingress|egress */
static int cmd_tcx_off(int prog, char **args)
{
	int ifindex = (int)if_nametoindex(args[0]);

	return bpf_prog_detach2(prog, ifindex, tcx_type(args[1])) < 0 ? -errno : 0;
}

static int netkit_type(const char *side)
{
	return strcmp(side, "peer") == 0 ? NETKIT_PEER : NETKIT_PRIMARY;
}

/* netkit PIN IFNAME primary|peer; both through the primary device */
static int cmd_netkit(int prog, char **args)
{
	int ifindex = (int)if_nametoindex(args[0]);

	return bpf_prog_attach(prog, ifindex, netkit_type(args[1]), 0) < 0 ? -errno : 0;
}

/* netkit-link PIN IFNAME primary|peer */
static int cmd_netkit_link(int prog, char **args)
{
	int link = bpf_link_create(prog, (int)if_nametoindex(args[0]), netkit_type(args[1]), NULL);

	close(prog);
	return hold(link);
}

/* tcx-link PIN IFNAME ingress|egress */
static int cmd_tcx_link(int prog, char **args)
{
	int link = bpf_link_create(prog, (int)if_nametoindex(args[0]), tcx_type(args[1]), NULL);

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
		return bpf_prog_detach2(prog, 0, BPF_FLOW_DISSECTOR) < 0 ? -errno : 0;
	return bpf_prog_attach(prog, 0, BPF_FLOW_DISSECTOR, 0) < 0 ? -errno : 0;
}

static const struct {
	const char *name;
	int args;
	int (*run)(int prog, char **args);
} commands[] = {
	/* clang-format off */
	{ "tcx",         2, cmd_tcx },
	{ "tcx-off",     2, cmd_tcx_off },
	{ "tcx-link",    2, cmd_tcx_link },
	{ "netkit",      2, cmd_netkit },
	{ "netkit-link", 2, cmd_netkit_link },
	{ "xdp-link",    2, cmd_xdp_link },
	{ "dissector",   1, cmd_dissector },
	{ "xt",          3, mk_xt },
	{ "nft",         3, mk_nft },
	/* clang-format on */
};

static int run(int argc, char **argv)
{
	int error, prog;

	if (argc < 4)
		return -EINVAL;
	/* before the namespace is entered: the pin is in ours */
	prog = bpf_obj_get(argv[3]);
	if (prog < 0)
		return prog;
	error = enter(argv[1]);
	if (error)
		return error;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(commands[i].name, argv[2]) == 0 && argc - 4 >= commands[i].args)
			return commands[i].run(prog, argv + 4);
	return -ENOSYS;
}

int main(int argc, char **argv)
{
	int error;

	libbpf_set_print(NULL);
	error = run(argc, argv);
	if (error)
		fprintf(stderr, "%s\n", strerrorname_np(-error));
	return error ? 1 : 0;
}
