#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Boots Debian 12 with systemd as the first process in a virtual machine, in which bpfrefs.service is
# installed from the Debian package: service.sh DEBS LOADER. Prints the TAP of service_guest.sh, which
# runs in it. DEBS is what `make deb` wrote. The root is made once by debootstrap(8).
set -eu

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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ ! -d "$base" ]; then
	mkdir -p "$cache"
	rm -rf "$base.new"
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,kmod,procps,linux-image-cloud-amd64,fuse3,libbpf1,libglib2.0-0,libcap-ng0,libmount1 \
		bookworm "$base.new" >"$cache/service-root.log" 2>&1 || skip "debootstrap: $(tail -n 1 "$cache/service-root.log")"
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
cat >"$root/etc/systemd/system/service-test.service" <<-'UNIT'
	[Unit]
	Description=The test of bpfrefs.service
	After=multi-user.target
	[Service]
	Type=oneshot
	TimeoutStartSec=infinity
	ExecStart=/bin/sh /usr/local/bin/service_guest.sh
	StandardOutput=tty
	TTYPath=/dev/ttyS1
	[Install]
	WantedBy=default.target
UNIT
chroot "$root" systemctl -q enable bpfrefs.service service-test.service
ln -sf /lib/systemd/systemd "$root/init"
echo service >"$root/etc/hostname"
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initrd"
rm -rf "$root"
timeout 3000 qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 2048 -nographic -no-reboot -nic none \
	-kernel "$base"/boot/vmlinuz-* -initrd "$work/initrd" -append "console=ttyS0 panic=-1 quiet" \
	-serial "file:$work/console" -serial "file:$work/tap" -monitor none </dev/null >/dev/null 2>&1 || :
tr -d '\r' <"$work/tap" | sed 's/^\(not ok\|ok\)/\1/'
grep -q '^1\.\.' "$work/tap" || {
	echo "Bail out! the machine said: $(tail -n 5 "$work/console" | tr '\r\n' '  ')"
	exit 1
}
