#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds this source with other Debians' compilers and libraries, warnings as errors, and runs the
# unit tests there: distros.sh SUITE... (trixie, sid). Each suite has a root made by debootstrap(8),
# which is kept in the cache and upgraded at each run.
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
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

# Runs a command in the root, in a mount namespace of its own, whose mounts are removed with it.
build_inside() {
	rm -rf "$1/src"
	mkdir "$1/src"
	(cd "$source" && tar -c --exclude=./build --exclude=./.git .) | tar -x -C "$1/src"
	cp /etc/resolv.conf "$1/etc/resolv.conf"
	# a mirror may be a snapshot, older than its Release file allows
	echo 'Acquire::Check-Valid-Until "false";' >"$1/etc/apt/apt.conf.d/snapshot"
	# shellcheck disable=SC2016 # the inner shell expands "$1"
	unshare --mount sh -eu -c '
		mount -t proc proc "$1/proc"
		mount --rbind /sys "$1/sys"
		mount --rbind /dev "$1/dev"
		exec chroot "$1" sh -euc "
			cd /src
			apt-get -q update
			.ci/install
			apt-get -q -y upgrade
			gcc --version | head -n 1
			clang --version | head -n 1
			pkg-config --modversion fuse3 libbpf glib-2.0 | paste -sd \" \"
			meson setup build --werror
			ninja -C build
			meson test -C build --suite unit --print-errorlogs"
	' sh "$1"
}

mkdir -p "$cache"
failed=
for suite in "$@"; do
	log=$cache/$suite.build.log
	make_root "$suite" "$cache/$suite" && build_inside "$cache/$suite" >"$log" 2>&1 &&
		verdict=passed || verdict=failed
	[ "$verdict" = passed ] || {
		tail -n 60 "$log" >&2 || true
		failed="$failed $suite"
	}
	grep -hE '^gcc |clang version|^[0-9.]+ [0-9.]+ [0-9.]+$|^(Ok|Fail|Skipped):' "$log" | sed "s/^/$suite: /"
	echo "$suite: $verdict"
done
[ -z "$failed" ]
