// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attaches a program to a cgroup without a link, or detaches it:
 *
 *	mk-cgroup attach|detach PROG_ID CGROUP TYPE FLAGS
 *
 * TYPE in libbpf's words ("cgroup_inet_ingress"), FLAGS a number. Says "ok" or an errno's name.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int attach_type(const char *name)
{
	for (int type = 0;; type++) {
		const char *known = libbpf_bpf_attach_type_str((enum bpf_attach_type)type);

		if (!known)
			return -EINVAL;
		if (strcmp(known, name) == 0)
			return type;
	}
}

int main(int argc, char **argv)
{
	int type, prog, cgroup, err;

	if (argc != 6)
		return 2;
	type = attach_type(argv[4]);
	prog = bpf_prog_get_fd_by_id((unsigned int)strtoul(argv[2], NULL, 10));
	cgroup = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (type < 0 || prog < 0 || cgroup < 0)
		err = errno ? errno : EINVAL;
	else if (strcmp(argv[1], "attach") == 0)
		err = -bpf_prog_attach(prog, cgroup, (enum bpf_attach_type)type,
				       (unsigned int)strtoul(argv[5], NULL, 0));
	else
		err = -bpf_prog_detach2(prog, cgroup, (enum bpf_attach_type)type);
	puts(err ? strerrorname_np(err) : "ok");
	return err != 0;
}
