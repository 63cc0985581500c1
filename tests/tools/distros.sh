#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Tries this source on other releases of Debian: distros.sh SUITE... (bookworm, trixie, sid). The unit tests, each
# configuration, `sudo make run` and `meson install`, the packages, and the service, or those of these PARTS in
# the environment: see distro.sh. Warnings are errors. Each suite has a root made by debootstrap(8), which
# is kept in the cache and upgraded at each run.
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-/var/cache}/bpfrefs-distros
# The mirror from which apt of this machine gets Debian.
# shellcheck disable=SC2016 # these are fields of apt
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' \
	'Created-By: Packages' | sed -n 's/^Debian Debian //p' | head -n 1)}

if [ -z "$mirror" ]; then
	echo "apt has no archive of Debian here: run apt-get update, or set DEBIAN_MIRROR" >&2
	exit 1
fi

if [ "$(id -u)" != 0 ]; then
	echo "a root of another system needs root: sudo make check-distros" >&2
	exit 1
fi

make_root() {
	[ ! -e "$2/etc/debian_version" ] || return 0
	command -v debootstrap >/dev/null || {
		DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install debootstrap
	}
	rm -rf "$2.new"
	debootstrap --variant=minbase "$1" "$2.new" "$mirror" >"$2.log" 2>&1 || {
		tail -n 20 "$2.log" >&2
		return 1
	}
	mv "$2.new" "$2"
}

# Runs a command in a mount namespace of its own with this root, whose mounts are removed with it. Not
# by chroot(8): who enters a mount namespace, as tests do, leaves that for the root of the namespace.
inside() {
	# shellcheck disable=SC2016 # the inner shell expands "$root"
	unshare --mount sh -eu -c '
		root=$1
		shift
		mount --bind "$root" "$root"
		mount -t proc proc "$root/proc"
		mount --rbind /sys "$root/sys"
		mount --rbind /dev "$root/dev"
		cd "$root"
		pivot_root . mnt
		umount -l mnt
		exec "$@"
	' sh "$@"
}

prepare() {
	rm -rf "$1/src"
	mkdir "$1/src"
	# with .git, from which the packages are made
	(cd "$source" && tar -c --exclude=./build .) | tar -x -C "$1/src"
	cp /etc/resolv.conf "$1/etc/resolv.conf"
	# a mirror may be a snapshot, older than its Release file allows
	echo 'Acquire::Check-Valid-Until "false";' >"$1/etc/apt/apt.conf.d/snapshot"
	inside "$1" sh -euc '
		export DEBIAN_FRONTEND=noninteractive
		cd /src
		apt-get -q update
		.ci/install
		apt-get -q -y upgrade
		gcc --version | head -n 1
		clang --version | head -n 1
		pkg-config --modversion fuse3 libbpf glib-2.0 | paste -sd " "'
}

# The part "service" makes a container of the packages that "packages" has built.
run_part() {
	root=$cache/$1
	inside "$root" /src/tests/tools/distro.sh "$2" || return 1
	[ "$2" != service ] ||
		SUITE=$1 "$source/tests/vm/service.sh" "$root/tmp/deb1" "$root/src/build/tests/loader" \
			"$root/src/build/tests/vm/initial.so" | tee "$root/tmp/service.tap"
	[ "$2" != service ] || ! grep -E '^not ok|^Bail out|SKIP' "$root/tmp/service.tap"
}

# try SUITE PART...: stops at the first part that fails.
try() {
	suite=$1
	shift
	make_root "$suite" "$cache/$suite" || return 1
	prepare "$cache/$suite" >"$cache/$suite.log" 2>&1 || {
		tail -n 30 "$cache/$suite.log" >&2
		return 1
	}
	grep -hE '^gcc |clang version|^[0-9.]+ [0-9.]+ [0-9.]+$' "$cache/$suite.log" | sed "s/^/$suite: /"
	for part in "$@"; do
		log=$cache/$suite.$part.log
		run_part "$suite" "$part" >"$log" 2>&1 || {
			tail -n 60 "$log" >&2
			echo "$suite: $part: failed" >&2
			return 1
		}
		grep -hE '^(Ok|Fail|Skipped):|: built$|^# back with|^ok [0-9]' "$log" | sed "s/^/$suite: /" || :
		echo "$suite: $part: passed"
	done
}

mkdir -p "$cache"
failed=
for suite in "$@"; do
	# shellcheck disable=SC2086 # a list of words
	try "$suite" ${PARTS:-unit contact configurations packages service} || failed="$failed $suite"
done
[ -z "$failed" ] || {
	echo "failed:$failed" >&2
	exit 1
}
