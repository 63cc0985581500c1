#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs, uses and removes the packages of `make rpm` with Debian's rpm(8), in a root of its own:
# rpms.sh DIRECTORY. What other packages would provide, a stand-in provides, so that rpm checks the
# dependencies between these packages and runs their scriptlets.
set -eu

rpms=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
log=$root/scriptlets
mkdir "$root"

fail() {
	echo "not as it should be: $*" >&2
	exit 1
}

# Those to install: neither sources nor debug information.
packages() { find "$rpms" -name '*.rpm' ! -name '*.src.rpm' ! -name '*debug*' | sort; }

rpm_here() { rpm --root "$root" --nosignature "$@"; }

stand_in() {
	{
		printf 'Name: stand-in\nVersion: 1\nRelease: 1\nSummary: Stand-in\nLicense: None\n'
		# shellcheck disable=SC2046 # a list of files
		rpm -qp --nosignature --requires $(packages) | grep -v '^rpmlib(\|^libbpfrefs\|^config(' | sort -u |
			sed 's/ >= / = /; s/^/Provides: /'
		printf '%%description\nWhat other packages provide.\n%%files\n'
	} >"$work/stand-in.spec"
	rpmbuild --quiet --define "_topdir $work/build" --define "_rpmdir $work" --define '_rpmfilename stand-in.rpm' \
		--target "$(rpm --eval '%{_arch}')" -bb "$work/stand-in.spec"
}

# A shell for the scriptlets, and a helper of systemd that writes down its arguments.
furnish() {
	mkdir -p "$root/bin" "$root/usr/lib/systemd"
	for file in $(ldd /bin/sh | grep -o '/[^ ]*'); do
		mkdir -p "$root${file%/*}"
		cp -L "$file" "$root$file"
	done
	cp -L /bin/sh "$root/bin/sh"
	printf '#!/bin/sh\necho "$@" >>/scriptlets\n' >"$root/usr/lib/systemd/systemd-update-helper"
	chmod +x "$root/usr/lib/systemd/systemd-update-helper"
}

stand_in
furnish
rpm_here --initdb
# shellcheck disable=SC2046 # a list of files
if rpm_here -i $(packages) 2>/dev/null; then fail "they need nothing"; fi
rpm_here -i "$work/stand-in.rpm"
# shellcheck disable=SC2046 # a list of files
rpm_here -ivh $(packages)
for file in sbin/bpfrefs sbin/mount.fuse.bpfrefs lib/systemd/system/bpfrefs.service include/bpfrefs/bpfrefs.h \
	share/man/man8/bpfrefs.8 share/man/man5/bpfrefs.5; do
	# manual pages may be compressed
	find "$root/usr" -path "$root/usr/$file*" | grep -q . || fail "/usr/$file is missing"
done
[ -e "$root/etc/default/bpfrefs" ] || fail "/etc/default/bpfrefs is missing"
rpm_here -Va --nouser --nogroup bpfrefs libbpfrefs libbpfrefs-devel || fail "files are not as in the packages"
libraries=$(dirname "$(find "$root/usr" -name libbpfrefs.so)")
LD_LIBRARY_PATH=$libraries "$root/usr/sbin/bpfrefs" -V
[ "$(cat "$log")" = "install-system-units bpfrefs.service" ] || fail "the scriptlets said $(cat "$log")"
if rpm_here -e libbpfrefs 2>/dev/null; then fail "the library can be removed while bpfrefs needs it"; fi
rpm_here -e bpfrefs libbpfrefs-devel libbpfrefs
tail -n 1 "$log" | grep -x 'remove-system-units bpfrefs.service' || fail "the scriptlets said $(cat "$log")"
left=$(find "$root" -name '*bpfrefs*')
[ -z "$left" ] || fail "left behind: $left"
rpmlint --config "$(dirname "$0")/../../docs/packaging/rpmlint.toml" "$rpms"/*.rpm
echo "The packages were installed, used and removed."
