#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Downloads Debian's prometheus and prometheus-node-exporter, and unpacks them: prometheus.sh DIRECTORY.
# They are not installed, since their packages start services.
set -eu

mkdir -p "$1"
cd "$1"
[ ! -x usr/bin/prometheus ] || [ ! -x usr/bin/prometheus-node-exporter ] || exit 0
rm -f ./*.deb
apt-get -q download prometheus prometheus-node-exporter || {
	apt-get -q update
	apt-get -q download prometheus prometheus-node-exporter
}
for package in *.deb; do
	dpkg-deb -x "$package" .
done
rm ./*.deb
