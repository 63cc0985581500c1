#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the machine of service.sh, under systemd: how bpfrefs.service starts, dies, restarts, stops
# and is upgraded. Writes TAP, and powers the machine off.
mount=/run/bpfrefs/.bpf
count=0

# check NAME COMMAND...: one case, by the status of a command.
check() {
	name=$1
	shift
	count=$((count + 1))
	if "$@" >/tmp/out 2>&1; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		tail -n 12 /tmp/out | sed 's/^/# /'
	fi
}

# Tries a command for SECONDS, on an emulated machine.
within() {
	end=$(($(cut -d . -f 1 /proc/uptime) + $1))
	shift
	until "$@"; do
		[ "$(cut -d . -f 1 /proc/uptime)" -lt $end ] || return 1
		sleep 0.1
	done
}

answers() { timeout 60 cat $mount/status >/dev/null 2>&1; }
pid() { systemctl show -P MainPID bpfrefs; }
status() { systemctl status --no-pager -l bpfrefs; }
described() { status | grep -q 'Status: "/sys/fs/bpf is mirrored at /run/bpfrefs (source bpf)'; }
mounted() { grep -q ' fuse.bpfrefs ' /proc/self/mountinfo; }
kept() { [ "$(cat "$mount/$array/keep")" = pin ] && [ "$(loader run /sys/fs/bpf/entry)" = "first=1 second=2" ]; }
unharmed() { ! journalctl -u bpfrefs -p err --no-pager -q | grep -v 'Failed with result\|Main process exited'; }

# A loader that has exited, and the array that is kept for it.
keep() {
	mkfifo /tmp/wait
	loader load /sys/fs/bpf/entry </tmp/wait >/tmp/keys &
	exec 3>/tmp/wait
	within 60 grep -q entry /tmp/keys
	array=$(sed -n 's/^array=//p' /tmp/keys)
	echo pin >"$mount/$array/keep" || cat $mount/errors
	exec 3>&-
	wait
	kept
}

killed() {
	before=$(pid)
	start=$(cut -d ' ' -f 1 /proc/uptime)
	kill -9 "$before"
	within 300 back_again
	echo "# back after kill -9: from $start to $(cut -d ' ' -f 1 /proc/uptime) s, emulated" >>/tmp/notes
	[ "$(pid)" != "$before" ] && kept
}
back_again() { [ "$(pid)" != "$before" ] && [ "$(pid)" != 0 ] && answers; }

restarted() {
	for _ in 1 2 3 4; do
		while [ ! -e /tmp/stop ]; do cat $mount/holders $mount/objects; done >/dev/null 2>&1 &
	done
	for _ in 1 2 3; do
		systemctl restart bpfrefs || return 1
		answers || return 1
	done
	touch /tmp/stop
	wait
	kept && [ "$(grep -c ' fuse.bpfrefs ' /proc/self/mountinfo)" = 1 ]
}

upgraded() {
	before=$(pid)
	dpkg -i /debs/*.deb || return 1
	dpkg-query -W -f '${Version}\n' bpfrefs | grep -q '+next' || return 1
	within 300 back_again && kept
}

stopped() {
	systemctl stop bpfrefs || return 1
	[ "$(systemctl show -P Result bpfrefs)" = success ] && ! mounted && [ "$(loader run /sys/fs/bpf/entry)" = "first=1 second=2" ]
}

modprobe fuse
echo "# $(uname -r), $(systemctl --version | head -n 1)"
check starts_at_boot within 600 answers
check status_is_described described
check keeps keep
check killed_and_back_with_its_keeps killed
check restarted_under_readers restarted
check upgraded upgraded
check stopped stopped
check started_again systemctl start bpfrefs
check keeps_are_found_again kept
check no_errors_in_the_journal unharmed
cat /tmp/notes
systemd-analyze security --no-pager bpfrefs.service | tail -n 1 | sed 's/^/# /'
status | sed 's/^/# /'
echo "1..$count"
sync
sleep 1
systemctl poweroff -ff
