#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the Debian packages from what is committed: deb.sh DIRECTORY, which gets the packages. The
# same commit gives the same bytes (SOURCE_DATE_EPOCH is the commit's time). `.ci/install deb` installs what it needs.
set -eu

target=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."
version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
# The path is the same each time: it is in the debug information that is not stripped.
work=${TMPDIR:-/tmp}/bpfrefs-deb-$(id -u)
rm -rf "$work"
mkdir -m 0700 "$work"
trap 'rm -rf "$work"' EXIT
source=$work/bpfrefs-$version
git archive --prefix="bpfrefs-$version/" HEAD | tar -x -C "$work"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$work" \
	-cJf "$work/bpfrefs_$version.orig.tar.xz" "bpfrefs-$version"
cp -r "$source/docs/packaging/debian" "$source/debian"
cp "$source/docs/packaging/bpfrefs.service" "$source/debian/bpfrefs.service"
(cd "$source" && dpkg-buildpackage -us -uc)
mv "$work"/*.deb "$work"/*.dsc "$work"/*.buildinfo "$work"/*.changes "$work"/*.tar.xz "$target"/
lintian --allow-root --pedantic --fail-on error,warning --suppress-tags-from-file "$source/debian/lintian.txt" \
	"$target"/*.changes
echo "The packages are in $target:"
ls -l "$target"
