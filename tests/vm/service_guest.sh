#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the machine or container of service.sh, under systemd: how bpfrefs.service starts, dies, hangs,
# restarts, stops, fails and is upgraded. Writes TAP, and powers the machine off.
mount=/run/bpfrefs/.bpf
count=0

# check NAME COMMAND...: one case, by the status of a command.
check() {
	name=$1
	shift
	count=$((count + 1))
	systemctl reset-failed bpfrefs # the limit of starts in a while is not what is tested
	if "$@" >/tmp/out 2>&1; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		tail -n 12 /tmp/out | sed 's/^/# /'
	fi
}

# Tries a command for SECONDS: the machine may be an emulated one.
within() {
	end=$(($(cut -d . -f 1 /proc/uptime) + $1))
	shift
	until "$@"; do
		[ "$(cut -d . -f 1 /proc/uptime)" -lt $end ] || return 1
		sleep 0.02
	done
}

# How long it takes until the keep is there again, in the notes.
until_kept() {
	start=$(date +%s%N)
	within 300 has_keep_again || return 1
	echo "# back with its keep $((($(date +%s%N) - start) / 1000000)) ms after $1" >>/tmp/notes
}

answers() { timeout 60 cat $mount/status >/dev/null 2>&1; }
pid() { systemctl show -P MainPID bpfrefs; }
status() { systemctl status --no-pager -l bpfrefs; }
described() { status | grep -q 'Status: "/sys/fs/bpf is mirrored at /run/bpfrefs (source bpf)'; }
mounted() { grep -q ' fuse.bpfrefs ' /proc/self/mountinfo; }
has_keep_again() { [ "$(pid)" != "$before" ] && has_keep; }
has_keep() { [ "$(cat "$mount/$array/keep" 2>/dev/null)" = pin ]; }
kept() { has_keep && [ "$(loader run /sys/fs/bpf/entry)" = "first=1 second=2" ]; }
unharmed() { ! journalctl -u bpfrefs -p err --no-pager -q | grep -v 'Failed with result\|Main process exited\|Watchdog timeout'; }

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
	for _ in 1 2 3; do
		before=$(pid)
		kill -9 "$before"
		until_kept "kill -9" && [ "$(pid)" != "$before" ] && kept || return 1
	done
}

# A daemon that answers no request is killed by the watchdog; the time is shorter here.
hangs() {
	mkdir /run/systemd/system/bpfrefs.service.d
	printf '[Service]\nWatchdogSec=1s\nTimeoutAbortSec=1s\n' >/run/systemd/system/bpfrefs.service.d/short.conf
	systemctl daemon-reload
	systemctl restart bpfrefs
	answers || return 1
	before=$(pid)
	kill -STOP "$before"
	until_kept "SIGSTOP, by a watchdog of 1 s" || return 1
	rm -r /run/systemd/system/bpfrefs.service.d
	systemctl daemon-reload
	systemctl restart bpfrefs
	journalctl -u bpfrefs --no-pager -q | grep 'Watchdog timeout' && [ "$(pid)" != "$before" ] && kept
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

# run-bpfrefs.mount in the place of the service.
mount_unit() {
	systemctl stop bpfrefs
	systemctl start run-bpfrefs.mount || return 1
	answers && kept || return 1
	systemctl stop run-bpfrefs.mount
	! mounted
}

# A setting that is wrong: the service gives up, and the journal has a line at the level of errors.
fails() {
	cp /etc/default/bpfrefs /tmp/default
	echo 'SOURCE=/etc' >>/etc/default/bpfrefs
	systemctl restart bpfrefs
	within 300 failed
	mv /tmp/default /etc/default/bpfrefs
	journalctl _COMM=bpfrefs -p err --no-pager -q -o cat | grep '^/etc is not on a bpffs' && ! mounted
}
failed() { [ "$(systemctl is-failed bpfrefs)" = failed ]; }

systemd-detect-virt -q --container || modprobe fuse
echo "# $(uname -r), $(systemctl --version | head -n 1)"
check starts_at_boot within 600 answers
check status_is_described described
check keeps keep
check killed_and_back_with_its_keeps killed
check hangs_and_is_back hangs
check restarted_under_readers restarted
check upgraded upgraded
check stopped stopped
check started_again systemctl start bpfrefs
check keeps_are_found_again kept
check no_errors_in_the_journal unharmed
check mount_unit mount_unit
check wrong_setting fails
check started_after_that systemctl start bpfrefs
cat /tmp/notes
systemd-analyze security --no-pager bpfrefs.service | tail -n 1 | sed 's/^/# /'
status | sed 's/^/# /'
echo "1..$count"
sync
sleep 1
systemctl poweroff -ff
