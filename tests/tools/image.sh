#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds docs/packaging/Containerfile from what is committed: image.sh DIRECTORY, which gets the root of the
# image. No registry is needed: the base image is made by debootstrap(8), once. buildah(1) runs the
# commands in a chroot, so that it needs neither a cgroup nor a network of its own.
set -eu

for program in buildah debootstrap; do
	command -v $program >/dev/null || {
		echo "$program is missing; on Debian: apt install --no-install-recommends buildah debootstrap" >&2
		exit 1
	}
done
source=$(cd "$(dirname "$0")/../.." && pwd)
suite=trixie # of the Containerfile's BASE
mkdir -p "$1"
cache=$(cd "$1" && pwd)
base=$cache/$suite
# Debian's mirror of this machine
# shellcheck disable=SC2016 # these are fields of apt
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
	sed -n 's/^Debian Debian //p' | head -n 1)
if [ ! -d "$base" ]; then
	rm -rf "$base.new"
	debootstrap --variant=minbase "$suite" "$base.new" "$mirror"
	# a mirror may be a snapshot, older than its Release file allows
	echo 'Acquire::Check-Valid-Until "false";' >"$base.new/etc/apt/apt.conf.d/snapshot"
	mv "$base.new" "$base"
fi

store=$(mktemp -d)
images() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }
trap 'images rm --all >/dev/null; rm -rf "$store"' EXIT
container=$(images from scratch)
images copy -q "$container" "$base" / >/dev/null
images commit -q "$container" localhost/base >/dev/null
mkdir "$store/context"
git -C "$source" archive HEAD | tar -x -C "$store/context"
images bud -q --isolation chroot --build-arg BASE=localhost/base -t localhost/bpfrefs \
	-f "$store/context/docs/packaging/Containerfile" "$store/context"
container=$(images from localhost/bpfrefs)
rm -rf "$cache/root"
cp -a "$(images mount "$container")" "$cache/root"
images umount "$container" >/dev/null
images images localhost/bpfrefs
