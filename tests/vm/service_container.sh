#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The first process of the container of service.sh, in namespaces of its own: mounts what systemd expects
# of a container (systemd.io/CONTAINER_INTERFACE) below the root $1, and becomes systemd.
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t bpf bpf sys/fs/bpf
mount -o remount,bind,ro sys
mount -t tmpfs -o mode=755 dev dev
for device in null zero full random urandom tty fuse; do
	: >dev/$device
	mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs run run
mount -t tmpfs tmp tmp
pivot_root . mnt
umount -l mnt
exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
