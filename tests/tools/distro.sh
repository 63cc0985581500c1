#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What distros.sh does inside the root of another Debian, in a mount namespace of its own, with a copy of
# the source in /src: distro.sh unit|configurations|contact|packages|service.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
bpf=/sys/fs/bpf

fail() {
	echo "not as it should be: $*" >&2
	exit 1
}

# Installs what is missing of the packages that are named.
need() {
	dpkg-query -W "$@" >/dev/null 2>&1 || apt-get -q -y --no-install-recommends install "$@"
}

# The daemon closes SOURCE a moment after it was unmounted.
unmount_bpf() {
	for _ in 1 2 3 4 5 6 7 8 9; do
		umount $bpf 2>/dev/null && return
		sleep 1
	done
	umount $bpf
}

# Whether a mount answers.
answers() { timeout 10 cat "$1/.bpf/status" >/dev/null; }

unit() {
	meson setup build --werror
	ninja -C build
	meson test -C build --suite unit --print-errorlogs
}

# Somebody clones the project, and types what the README says.
contact() {
	need sudo make
	id builder >/dev/null 2>&1 || useradd -m builder
	echo 'builder ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/builder
	home=/home/builder/bpfrefs
	rm -rf $home
	cp -r /src $home
	rm -rf $home/build # of another part
	chown -R builder: $home
	cd $home
	mount -t tmpfs run /run
	as="runuser -u builder -- env HOME=/home/builder"
	$as sudo make run
	answers /run/bpfrefs || fail "make run"
	[ -z "$(find . ! -user builder)" ] || fail "files of root's: $(find . ! -user builder | head)"
	$as touch fs/daemon/main.c
	$as make
	$as sudo make stop
	! grep ' fuse.bpfrefs ' /proc/self/mountinfo || fail "make stop"
	readme
	installed
}

# The commands of README.md's "Install" that need no systemd; `make check` is the other parts.
readme() {
	# shellcheck disable=SC2016 # three backquotes of Markdown
	sed -n '/^## Install/,$p' README.md | sed -n '/^```$/,/^```$/p' | grep -v '^```$\|systemctl\|make check' >/tmp/readme
	grep 'make deb' /tmp/readme || fail "README.md installs no packages"
	git config --global --add safe.directory '*'
	while read -r line; do
		yes | runuser -u builder -- env HOME=/home/builder sh -euxc "$line" || fail "README.md: $line"
	done </tmp/readme
	answers /run/bpfrefs || fail "the last command of README.md"
	$as sudo make stop
	[ -z "$(find . ! -user builder)" ] || fail "files of root's: $(find . ! -user builder | head)"
	apt-get -q -y purge bpfrefs libbpfrefs0 libbpfrefs-dev
}

# `meson install` names each further step in a line that begins with two blanks.
installed() {
	meson install -C build | tee /tmp/install.log
	grep '^  ' /tmp/install.log >/tmp/steps.sh || :
	cat /tmp/steps.sh
	sh -eu /tmp/steps.sh
	[ "$(bpfrefs -V)" ] || fail "bpfrefs -V"
	mount -t bpf bpf $bpf
	mkdir -p /run/other
	mount -t fuse.bpfrefs $bpf /run/other
	answers /run/other || fail "mount -t fuse.bpfrefs"
	umount /run/other
	unmount_bpf
	ninja -C build uninstall
	rm -f /sbin/mount.fuse.bpfrefs
	ldconfig
}

# Builds the packages twice, installs, uses, upgrades, removes and purges them.
packages() {
	need git ca-certificates
	git config --global --add safe.directory '*'
	rm -rf /tmp/deb1 /tmp/deb2
	docs/packaging/deb.sh /tmp/deb1
	sleep 1
	docs/packaging/deb.sh /tmp/deb2
	for package in /tmp/deb1/*.deb; do
		cmp "$package" "/tmp/deb2/${package##*/}" || fail "${package##*/} is not reproducible"
	done
	mount -t tmpfs run /run
	apt-get -q -y --no-install-recommends install /tmp/deb1/*.deb
	mount -t bpf bpf $bpf
	mkdir /run/bpfrefs
	used
	echo 'OPTIONS="-o max_age=1000"' >>/etc/default/bpfrefs
	upgrade
	grep -q max_age=1000 /etc/default/bpfrefs || fail "an upgrade changed /etc/default/bpfrefs"
	used
	cat >/tmp/consumer.c <<-'C'
		#include <bpfrefs.h>
		#include <stdio.h>
		int main(void) { return puts(bpfrefs_version()) < 0; }
	C
	# shellcheck disable=SC2046 # several words
	gcc -o /tmp/use /tmp/consumer.c $(pkg-config --cflags --libs bpfrefs)
	[ "$(/tmp/use)" ] || fail "libbpfrefs-dev"
	apt-get -q -y purge bpfrefs libbpfrefs0 libbpfrefs-dev
	for left in /etc/default/bpfrefs /usr/sbin/bpfrefs /usr/include/bpfrefs \
		/lib/systemd/system/bpfrefs.service /usr/lib/systemd/system/bpfrefs.service; do
		[ ! -e "$left" ] || fail "purge leaves $left"
	done
	unmount_bpf
}

used() {
	bpfrefs -V
	mount -t fuse.bpfrefs $bpf /run/bpfrefs
	answers /run/bpfrefs || fail "the installed bpfrefs does not answer"
	umount /run/bpfrefs
}

# The same files as a newer version, as a release would be.
upgrade() {
	rm -rf /tmp/deb3
	mkdir /tmp/deb3
	for package in /tmp/deb1/*.deb; do
		case $package in *dbgsym*) continue ;; esac
		dpkg-deb -R "$package" /tmp/deb3/tree
		sed -i 's/^\(Version: .*\)/\1+next/; s/\(libbpfrefs0 (= [^)]*\))/\1+next)/' /tmp/deb3/tree/DEBIAN/control
		dpkg-deb -b /tmp/deb3/tree "/tmp/deb3/${package##*/}"
		rm -r /tmp/deb3/tree
	done
	apt-get -q -y --no-install-recommends install /tmp/deb3/*.deb
	dpkg-query -W -f '${Version}\n' bpfrefs | grep '+next' || fail "no upgrade"
}

configurations() {
	tests/tools/configurations.sh /tmp/configurations
}

# What the container of the service needs, apart from the packages.
service() {
	[ -f build/build.ninja ] || meson setup build
	ninja -C build tests/loader tests/vm/initial.so
}

cd /src
"$1"
