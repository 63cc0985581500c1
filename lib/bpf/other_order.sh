#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does this bpftool link objects and make skeletons for the other byte order? Usage: CLANG BPFTOOL TARGET
set -e
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
echo 'int value;' | "$1" -target "$3" -g -O2 -xc -c - -o "$dir/part.o"
if ! "$2" gen object "$dir/whole.o" "$dir/part.o" >"$dir/out" 2>&1 ||
	! "$2" gen skeleton "$dir/whole.o" name whole >"$dir/whole.h" 2>>"$dir/out"; then
	head -n 1 "$dir/out" >&2
	exit 1
fi
