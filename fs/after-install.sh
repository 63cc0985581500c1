#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# After `meson install`: makes the library known to the dynamic linker, and says what is still to do:
# after-install.sh BPFREFS HELPER LIBDIR. Does nothing for a package (DESTDIR).
[ -z "${DESTDIR-}" ] || exit 0
export PATH="$PATH:/usr/sbin:/sbin"
library=$3
# meson 1.0 shows what a script prints only if the script fails. (Not if it writes into a file, where
# it would write over this.)
if [ ! -f "/proc/$PPID/fd/1" ] && [ -w "/proc/$PPID/fd/1" ]; then
	exec >"/proc/$PPID/fd/1"
fi

if [ "$(id -u)" = 0 ]; then
	ldconfig
fi
if ! "$1" --version >/dev/null 2>&1; then
	echo "The dynamic linker does not search $library, so that $1 does not start yet. Next, as root:"
	echo "  echo $library >/etc/ld.so.conf.d/bpfrefs.conf && ldconfig"
fi
# mount(8) searches only /sbin
if [ ! -e "/sbin/$(basename "$2")" ]; then
	echo "mount(8) does not find $2, so that \`mount -t fuse.bpfrefs\` does not work yet. Next, as root:"
	echo "  ln -s $2 /sbin/"
fi
