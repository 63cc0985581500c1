#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs a Debian with systemd as the first process, in which bpfrefs.service is installed from the Debian
# packages: service.sh DEBS LOADER vm, in a virtual machine; service.sh DEBS LOADER INITIAL, in a
# container on the running kernel. INITIAL is initial.c as a library. DEBS has what `make deb` wrote.
# Prints the TAP of service_guest.sh, which runs in it. The root is made once by debootstrap(8), of the
# release SUITE of the environment.
set -eu

suite=${SUITE:-bookworm}
case $suite in
bookworm) libraries=libglib2.0-0,libfuse3-3 ;;
*) libraries=libglib2.0-0t64,libfuse3-4 ;;
esac

skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

[ "$(id -u)" = 0 ] || skip "not root"
ls "$1"/bpfrefs_*.deb >/dev/null 2>&1 || skip "no packages in $1: make deb"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-/var/cache}/bpfrefs-vm
base=$cache/service-root
[ "$suite" = bookworm ] || base=$base-$suite
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ ! -d "$base" ]; then
	mkdir -p "$cache"
	rm -rf "$base.new"
	debootstrap --variant=minbase \
		--include=systemd,systemd-sysv,dbus,kmod,procps,linux-image-cloud-amd64,fuse3,libbpf1,libcap-ng0,libmount1,$libraries \
		"$suite" "$base.new" >"$base.log" 2>&1 || skip "debootstrap: $(tail -n 1 "$base.log")"
	mv "$base.new" "$base"
fi

root=$work/root
mkdir "$root"
(cd "$base" && tar -c --exclude=./boot --exclude=./usr/share/doc --exclude=./usr/share/locale --exclude=./usr/share/man \
	--exclude=./var/cache --exclude=./var/lib/apt --exclude='./usr/lib/modules/*/kernel/drivers' \
	--exclude=./usr/share/zoneinfo --exclude=./usr/share/perl* --exclude='./dev/*' .) | tar -x -C "$root"
mkdir -p "$root/debs"
cp "$1"/bpfrefs_*.deb "$1"/libbpfrefs0_*.deb "$root/debs/"
chroot "$root" sh -c 'dpkg -i /debs/*.deb' >"$work/dpkg.log" 2>&1 || {
	cat "$work/dpkg.log" >&2
	exit 1
}
# The same package as a newer version, to upgrade to.
for package in "$root"/debs/*.deb; do
	dpkg-deb -R "$package" "$work/next"
	sed -i 's/^\(Version: .*\)/\1+next/; s/\(libbpfrefs0 (= [^)]*\))/\1+next)/' "$work/next/DEBIAN/control"
	dpkg-deb -b "$work/next" "$package" >/dev/null
	rm -r "$work/next"
done
cp "$2" "$root/usr/local/bin/loader"
cp "$here/service_guest.sh" "$root/usr/local/bin/"
[ "$3" != vm ] && tap=/tap || tap=/dev/ttyS1
cat >"$root/etc/systemd/system/service-test.service" <<-UNIT
	[Unit]
	Description=The test of bpfrefs.service
	After=multi-user.target
	[Service]
	Type=oneshot
	TimeoutStartSec=infinity
	ExecStart=/bin/sh /usr/local/bin/service_guest.sh
	StandardOutput=append:$tap
	[Install]
	WantedBy=default.target
UNIT
cp "$here/../../docs/packaging/run-bpfrefs.mount" "$root/etc/systemd/system/"
chroot "$root" systemctl -q enable bpfrefs.service service-test.service
ln -sf /lib/systemd/systemd "$root/init"
echo service >"$root/etc/hostname"

virtual_machine() {
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initrd"
	rm -rf "$root"
	timeout 3000 qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 2048 -nographic -no-reboot -nic none \
		-kernel "$base"/boot/vmlinuz-* -initrd "$work/initrd" -append "console=ttyS0 panic=-1 quiet" \
		-serial "file:$work/console" -serial "file:$work/tap" -monitor none </dev/null >/dev/null 2>&1 || :
}

# With namespaces and a cgroup of its own. The kernel's settings (/sys, /proc/sys) are read-only.
container() {
	hierarchy=$(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2 .*/\1/p' /proc/self/mountinfo | head -n 1)
	[ "$hierarchy" ] || skip "cgroup2 is not mounted"
	cp "$1" "$root/usr/local/lib/initial.so"
	# not in LD_PRELOAD, which mount(8) removes
	echo /usr/local/lib/initial.so >"$root/etc/ld.so.preload"
	chroot "$root" systemctl -q mask console-getty.service
	group=$hierarchy/bpfrefs-service-$$
	mkdir "$group"
	# shellcheck disable=SC2016 # the inner shells expand them
	timeout 900 sh -c 'echo $$ >"$1/cgroup.procs"
		exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup --net "$2" "$3"' \
		sh "$group" "$here/service_container.sh" "$root" </dev/null >"$work/console" 2>&1 || :
	for _ in 1 2 3 4 5 6 7 8 9; do
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
		sleep 0.5
	done
	mv "$root/tap" "$work/tap" || :
}

if [ "$3" = vm ]; then virtual_machine; else container "$3"; fi
tr -d '\r' <"$work/tap"
grep -q '^1\.\.' "$work/tap" || {
	echo "Bail out! the console said: $(tail -n 5 "$work/console" | tr '\r\n' '  ')"
	exit 1
}
