# SPDX-License-Identifier: GPL-2.0-or-later
# Shortcuts: `sudo make run`, `sudo make check`. meson builds everything.
BUILD ?= build
SOURCE ?= /sys/fs/bpf
MOUNTPOINT ?= /run/bpfrefs
# This file says that `make run` mounted the bpffs at SOURCE, so that `make stop` unmounts it again.
MARK = /run/bpfrefs-make-run.source
# Under sudo all is built as the user who called it: `make` without sudo works afterwards, too.
AS := $(shell .ci/caller $(BUILD))
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: all run stop check lint abi format words check-vm check-distros check-prometheus check-sanitizers check-service check-container check-rpm fuzz fuzz-merge bench deb rpm dist

all:
	@.ci/install
	@test -f $(BUILD)/build.ninja || $(AS) meson setup $(BUILD) $(if $(CI),--werror)
	@$(AS) ninja -C $(BUILD)

# Builds no tests, and installs no packages for them.
run:
	@.ci/install run
	@test -f $(BUILD)/build.ninja || $(AS) meson setup $(BUILD)
	@$(AS) ninja -C $(BUILD) fs/bpfrefs
	@test "$$(id -u)" = 0 || { echo "make run: mounting needs root; use: sudo make run" >&2; exit 1; }
	@if [ "$$(stat -f -c %t $(SOURCE))" != cafe4a11 ]; then \
		mount -t bpf bpf $(SOURCE) && echo $(SOURCE) >$(MARK); \
	fi
	@test -d $(MOUNTPOINT) || mkdir -p $(MOUNTPOINT) 2>/dev/null || true # a dead mount
	@$(BUILD)/fs/bpfrefs $(SOURCE) $(MOUNTPOINT)
	@echo
	@echo "$(SOURCE) is mirrored at $(MOUNTPOINT). Look at:"
	@echo "  cat $(MOUNTPOINT)/.bpf/objects       every map, prog, link and btf, and its state"
	@echo "  cat $(MOUNTPOINT)/.bpf/holders       what keeps each of them alive"
	@echo "  cat $(MOUNTPOINT)/.bpf/at-risk       what an exit would break, or has broken"
	@echo "  cat $(MOUNTPOINT)/.bpf/attachments   where each program runs"
	@echo "  cat $(MOUNTPOINT)/.bpf/processes     which processes hold how much"
	@echo "  cat $(MOUNTPOINT)/.bpf/unused        what is left over"
	@echo "  cat $(MOUNTPOINT)/.bpf/status        what could be read, and from where"
	@echo "docs/on-call.md has questions, and the commands that answer them."
	@echo "Unmount with: sudo make stop"

stop:
	@if grep -q " $(MOUNTPOINT) " /proc/self/mountinfo; then umount $(MOUNTPOINT); fi
	@if [ $(MOUNTPOINT) = /run/bpfrefs ] && [ -d /run/bpfrefs ]; then rmdir /run/bpfrefs; fi
	@# the daemon closes SOURCE a moment after it was unmounted
	@if [ -f $(MARK) ]; then \
		for i in 1 2 3 4 5 6 7 8 9; do umount "$$(cat $(MARK))" 2>/dev/null && break; sleep 1; done; \
		! mountpoint -q "$$(cat $(MARK))" || umount "$$(cat $(MARK))" && rm $(MARK); \
	fi

# The result is read from meson's log, case by case: meson's exit status does not count skips.
check: all
	@rm -f $(BUILD)/meson-logs/testlog.json
	@meson test -C $(BUILD) --print-errorlogs || true
	@.ci/caller $(BUILD) >/dev/null
	@python3 tests/tools/summary.py $(BUILD)

# All checks of the linters. `make check` leaves out clang-tidy's path-sensitive ones, which take
# minutes: see tests/tools/lint.py.
lint: all
	@python3 tests/tools/lint.py . $(BUILD) --analyze

# Writes the interface of the library to tests/tools/libbpfrefs.abi, with which `make lint` compares it:
# after an addition.
abi: all
	@python3 tests/tools/lint.py . $(BUILD) --abi

# Formats the C sources, those of BPF programs too, by .clang-format.
format:
	@.ci/install
	@python3 tests/tools/lint.py . --format

# Lists the words that tests/tools/words.py wants replaced: `make words PATHS="lib/keep fs/tree"`.
words:
	@python3 tests/tools/words.py . $(PATHS)

# Runs one target after another: `make fuzz SECONDS=600 TARGETS=walk`. The corpus grows in
# $(BUILD)/fuzz-corpus; `make fuzz-merge` adds the inputs with new coverage to tests/fuzz/corpus.
fuzz: all
	@ninja -C $(BUILD) fuzzers
	@python3 tests/fuzz/fuzz.py $(BUILD) tests/fuzz/corpus $(or $(SECONDS),60) $(TARGETS)

fuzz-merge: all
	@ninja -C $(BUILD) fuzzers
	@python3 tests/fuzz/fuzz.py $(BUILD) tests/fuzz/corpus --merge $(TARGETS)

# Runs the kernel tests on other kernels, in virtual machines: 5.10, 6.1, 6.12 and newest, or KERNEL
# alone. KERNEL=service is bpfrefs.service under systemd, from the packages of what is committed. With
# ARCH=arm64 the machines are of that architecture, for which all is built here: 6.1, 6.12, 6.12-16k.
# Kernels and packages are Debian's, downloaded once to /var/cache/bpfrefs-vm, or below
# $XDG_CACHE_HOME.
check-vm: all
	$(if $(filter service,$(or $(KERNEL),$(ARCH),service)),@docs/packaging/deb.sh $(BUILD)/deb)
	@test ! -f .ci/packages-$(ARCH) || .ci/install $(ARCH)
	@rm -f $(BUILD)/meson-logs/testlog-vm.json
	@meson test -C $(BUILD) --no-rebuild --setup=vm --print-errorlogs \
		$(if $(KERNEL),vm-$(ARCH:%=%-)$(KERNEL),$(if $(ARCH),--suite=vm-$(ARCH),--suite=vm --suite=vm-more)) || true
	@python3 tests/tools/summary.py $(BUILD) testlog-vm.json

# bpfrefs.service under systemd in a container on this kernel, from the packages of what is committed.
check-service: all
	@docs/packaging/deb.sh $(BUILD)/deb
	@rm -f $(BUILD)/meson-logs/testlog-service.json
	@meson test -C $(BUILD) --no-rebuild --setup=service --suite=service --print-errorlogs || true
	@python3 tests/tools/summary.py $(BUILD) testlog-service.json

# Builds docs/packaging/Containerfile by buildah(1), without a registry, and runs the image as the manifests
# do; the manifests are checked against the API of Kubernetes by packages of npm.
IMAGE ?= $(or $(XDG_CACHE_HOME),/var/cache)/bpfrefs-image
check-container: all
	@tests/tools/manifests.sh $(IMAGE)/npm docs/packaging/kubernetes.yaml docs/packaging/kubernetes-narrow.yaml
	@tests/tools/image.sh $(IMAGE)
	@rm -f $(BUILD)/meson-logs/testlog-service.json
	@IMAGE=$(IMAGE)/root meson test -C $(BUILD) --no-rebuild --setup=service container capabilities --print-errorlogs || true
	@python3 tests/tools/summary.py $(BUILD) testlog-service.json

# Runs the whole suite in builds with sanitizers: `make check-sanitizers SANITIZE="clang:thread"`.
check-sanitizers: all
	@tests/tools/sanitizers.sh $(SANITIZE)

# Tries the same source on Debian releases: `make check-distros DISTROS=trixie PARTS="unit packages"`.
check-distros:
	@PARTS="$(PARTS)" tests/tools/distros.sh $(or $(DISTROS),bookworm trixie sid)

# Debian's prometheus and node_exporter (24 MB, downloaded once, not installed) read a mount: an alert fires.
PROMETHEUS ?= $(or $(XDG_CACHE_HOME),/var/cache)/bpfrefs-prometheus
check-prometheus: all
	@tests/tools/prometheus.sh $(PROMETHEUS)
	@rm -f $(BUILD)/meson-logs/testlog-prometheus.json
	@PROMETHEUS=$(PROMETHEUS) meson test -C $(BUILD) --setup=prometheus --suite=prometheus --print-errorlogs || true
	@python3 tests/tools/summary.py $(BUILD) testlog-prometheus.json

# `make bench SIZE=small` takes under a minute; without SIZE all usual sizes are measured. SIZE=node is
# what a node of a cluster has; SIZE=axes varies one axis of the size after another.
bench: all
	@python3 tests/bench/bench.py $(BUILD) $(SIZE)

# Debian packages of what is committed, in $(BUILD)/deb.
deb:
	@.ci/install deb
	@$(AS) docs/packaging/deb.sh $(BUILD)/deb

# RPM packages of what is committed, in $(BUILD)/rpm.
rpm:
	@docs/packaging/rpm.sh $(BUILD)/rpm

# Installs, uses and removes them in a root of its own.
check-rpm: rpm
	@tests/tools/rpms.sh $(BUILD)/rpm

# The archive of a release, from what is committed: $(BUILD)/meson-dist. CHANGELOG.md has its version.
dist: all
	@version=$$(meson introspect $(BUILD) --projectinfo | sed 's/.*"version": "\([^"]*\)".*/\1/'); \
	grep -q "^## \[$$version\]" CHANGELOG.md || \
		{ echo "make dist: CHANGELOG.md has no section for $$version" >&2; exit 1; }
	@meson dist -C $(BUILD) --no-tests
