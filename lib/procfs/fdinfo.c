/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "procfs/fdinfo.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

ssize_t proc_text_read_at(int dir_fd, const char *path, char *buf, size_t size)
{
	bpfrefs_autofd fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < size) {
		ssize_t got = read(fd, buf + len, size - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) {
			buf[len] = '\0';
			return (ssize_t)len;
		}
		len += (size_t)got;
	}
	return -E2BIG;
}

/* The value must be followed by the end of the line. */
static bool line_num(const char *text, uint64_t *value)
{
	char *end;

	text += strspn(text, " \t");
	if (!g_ascii_isdigit(*text))
		return false;
	errno = 0;
	*value = g_ascii_strtoull(text, &end, 10);
	return errno == 0 && (*end == '\n' || *end == '\0');
}

bool fdinfo_num(const char *text, const char *key, uint64_t *value)
{
	size_t len = strlen(key);

	while (text) {
		if (strncmp(text, key, len) == 0 && text[len] == ':')
			return line_num(text + len + 1, value);
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return false;
}

int fdinfo_key(const char *text, struct bpfrefs_key *key)
{
	/*
	 * The order matters: the fdinfo of a link has the prog_id of its program too
	 * (bpf_link_show_fdinfo()), and that of an iterator's, sockmap's or struct_ops link has the
	 * map_id of its target.
	 */
	static const struct {
		const char *name;
		enum bpfrefs_kind kind;
	} keys[] = {
		{ "link_id", BPFREFS_KIND_LINK },
		{ "map_id", BPFREFS_KIND_MAP },
		{ "prog_id", BPFREFS_KIND_PROG },
		{ "btf_id", BPFREFS_KIND_BTF },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		uint64_t id;

		if (!fdinfo_num(text, keys[i].name, &id))
			continue;
		if (id == 0 || id > UINT32_MAX)
			return -EINVAL;
		*key = (struct bpfrefs_key){ keys[i].kind, (uint32_t)id };
		return 0;
	}
	return -EINVAL;
}

bool proc_comm(int proc_fd, uint32_t pid, char comm[32])
{
	char path[32];
	ssize_t len;

	snprintf(path, sizeof(path), "%u/comm", pid);
	len = proc_text_read_at(proc_fd, path, comm, 32);
	if (len < 0)
		return false;
	/* The name itself may contain newlines; only the last one was added by procfs. */
	if (len > 0 && comm[len - 1] == '\n')
		comm[len - 1] = '\0';
	return true;
}
