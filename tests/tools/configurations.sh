#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds each configuration that a packager may choose, warnings as errors:
# configurations.sh DIRECTORY [NAME...]. The first one that fails ends it.
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
top=$(cd "$1" && pwd)
shift

# build NAME [OPTION...]: variables of the environment go before.
build() {
	name=$1
	shift
	log=$top/$name.log
	rm -rf "${top:?}/$name"
	if meson setup --werror "$@" "$top/$name" "$source" >"$log" 2>&1 &&
		ninja -C "$top/$name" >>"$log" 2>&1 && ! grep -i 'warning:' "$log"; then
		echo "$name: built"
		rm -rf "${top:?}/$name"
		return
	fi
	grep -iE -A 6 'error|warning|FAILED' "$log" | head -n 60 >&2
	echo "$name: failed; see $log" >&2
	exit 1
}

# A PATH on which neither clang nor bpftool is.
without_clang() {
	mkdir -p "$top/bin"
	for program in /bin/* /usr/bin/* /usr/local/bin/*; do
		case $program in
		*clang* | *bpftool*) ;;
		*) ln -sf "$program" "$top/bin/" ;;
		esac
	done
	PATH=$top/bin
	export PATH
}

[ $# -gt 0 ] || set -- clang lto O3 no-bpf no-clang no-tests no-man flags
for one in "$@"; do
	case $one in
	clang) (CC=clang build clang) ;;
	lto) build lto -Db_lto=true ;;
	O3) build O3 -Doptimization=3 ;;
	no-bpf) build no-bpf -Dbpf=disabled ;;
	no-clang) (without_clang && build no-clang -Dtests=false) ;;
	no-tests) build no-tests -Dtests=false ;;
	no-man) build no-man -Dman=disabled -Dtests=false ;;
	flags) (
		eval "$(DEB_BUILD_MAINT_OPTIONS=hardening=+all dpkg-buildflags --export=sh)"
		build flags --buildtype=plain
	) ;;
	*)
		echo "$0: no configuration $one" >&2
		exit 2
		;;
	esac
done
