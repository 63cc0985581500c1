#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs the whole suite in builds with sanitizers, of which each argument is one, COMPILER:SANITIZERS:
# `make check-sanitizers`. A report of a sanitizer fails the test.
set -u
cd "$(dirname "$0")/../.." || exit 1

# The allocator of GLib passes memory between threads, which the sanitizers cannot see.
export G_SLICE=always-malloc
# A report goes to the daemon's log, and the daemon's exit status fails the test.
export ASAN_OPTIONS=exitcode=66:detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS="exitcode=66:second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp"

# The seconds that a test waits at most: a daemon is several times slower.
export PATIENCE="${PATIENCE:-90}"

run() {
	compiler=${1%%:*} sanitizers=${1#*:}
	dir=build-$compiler-$(echo "$sanitizers" | tr , -)
	if [ ! -f "$dir/build.ninja" ]; then
		CC=$compiler meson setup "$dir" -Db_sanitize="$sanitizers" -Db_lundef=false || return 1
	fi
	ninja -C "$dir" || return 1
	if [ "$compiler" = clang ]; then
		# The symbolizer that a daemon in the background starts would keep its caller's standard
		# error open, and who reads that to its end would wait for the daemon's.
		symbolizer=$(dirname "$(readlink -f "$(command -v clang)")")/llvm-symbolizer
		printf '#!/bin/sh\nexec %s "$@" 2>/dev/null\n' "$symbolizer" >"$dir/llvm-symbolizer"
		chmod +x "$dir/llvm-symbolizer"
		TSAN_OPTIONS=$TSAN_OPTIONS:external_symbolizer_path=$PWD/$dir/llvm-symbolizer
	fi
	rm -f "$dir/meson-logs/testlog.json"
	# In virtual machines the same tests run again, which takes longest and finds no more.
	# The thread sanitizer needs fixed addresses, which a random layout may have in use.
	setarch "$(uname -m)" -R meson test -C "$dir" --no-rebuild --print-errorlogs \
		--timeout-multiplier 5 --no-suite fuzz --no-suite lint --no-suite valgrind \
		--no-suite vm || true
	python3 tests/tools/summary.py "$dir"
}

[ $# != 0 ] || set -- gcc:address,undefined clang:address,undefined gcc:thread clang:thread
failed=
for build; do
	run "$build" || failed="$failed $build"
done
echo "builds with sanitizers: $*"
[ -z "$failed" ] || echo "failed:$failed"
[ -z "$failed" ]
