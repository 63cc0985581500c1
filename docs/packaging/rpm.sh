#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the RPM packages from what is committed: rpm.sh DIRECTORY, which gets the packages. On Debian
# rpm(8) knows none of the installed packages, so that .ci/packages says what has to be there.
set -eu

target=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."
for program in rpmbuild rpmlint; do
	command -v $program >/dev/null || {
		echo "$program is missing; on Debian: apt install rpm rpmlint" >&2
		exit 1
	}
done

version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
work=${TMPDIR:-/tmp}/bpfrefs-rpm-$(id -u)
rm -rf "$work"
mkdir -m 0700 "$work" "$work/SOURCES" "$work/SPECS"
trap 'rm -rf "$work"' EXIT
git archive --prefix="bpfrefs-$version/" HEAD | xz >"$work/SOURCES/bpfrefs-$version.tar.xz"
git show HEAD:docs/packaging/bpfrefs.spec | sed "s/@VERSION@/$version/" >"$work/SPECS/bpfrefs.spec"
# Debian has these macros in no package; systemd's call its helper just so.
helper=/usr/lib/systemd/systemd-update-helper
scriptlet() { echo "systemd_$1() if [ \$1 $2 ] && [ -x $helper ]; then $helper $3 %1 || :; fi"; }
if rpm --eval '%{?_unitdir}' | grep -q .; then
	set --
else
	set -- --nodeps --define '_unitdir /usr/lib/systemd/system' \
		--define "$(scriptlet post '-eq 1' install-system-units)" \
		--define "$(scriptlet preun '-eq 0' remove-system-units)" \
		--define "$(scriptlet postun_with_restart '-ge 1' mark-restart-system-units)"
fi
rpmbuild --define "_topdir $work" --define 'use_source_date_epoch_as_buildtime 1' \
	--define 'clamp_mtime_to_source_date_epoch 1' --define '_buildhost bpfrefs' "$@" -ba "$work/SPECS/bpfrefs.spec"
mv "$work"/RPMS/*/*.rpm "$work"/SRPMS/*.rpm "$target"/
rpmlint --config docs/packaging/rpmlint.toml "$target"/*.rpm
echo "The packages are in $target:"
ls -l "$target"
