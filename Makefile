# SPDX-License-Identifier: GPL-2.0
# kvm-samsara: see README.md, and `make help`.
#
# Everything is built in build/. Finished third-party builds and downloads are
# kept in CACHE, keyed by content. The scripts decide themselves what is out of
# date, so most targets here are phony and only give the order.

VERSION := 0.1

BUILD := $(CURDIR)/build
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kvm-samsara
export BUILD CACHE VERSION

.DELETE_ON_ERROR:
# The scripts use both processors by themselves; two at a time would only make
# the progress lines hard to read.
.NOTPARALLEL:

all: modules qemu tools guests testbed
	@echo "[9/9] everything is built"

help:
	@echo 'make deps            install missing Debian packages (the only step that needs root)'
	@echo 'make                 build everything for the simulated host'
	@echo 'make demo            install what is missing, build, record and replay a Linux guest,'
	@echo '                     and find a race in another one with gdb, backwards'
	@echo 'make demo-disk       the same with a PC that has a disk and a network'
	@echo 'make demo-gdb        the second part of it only'
	@echo 'make check           all tests; check-unit, -testbed, -docs, -e2e, lint: parts of them'
	@echo 'make check-full      ... and the cases of tests/e2e/cases-full'
	@echo 'make check-debug     a few of them under lockdep, KASAN, kmemleak ...'
	@echo 'make lint            style of all sources, their layers, a build after each patch'
	@echo 'make coverage        lines and branches that the unit tests execute'
	@echo 'make bench           time compute kernels and programs: native, recorded, replayed; beside'
	@echo '                     QEMU -icount (Debian'\''s packages are fetched for that)'
	@echo 'make bench-io        time disks, networks and a boot, recorded and not'
	@echo 'make install         on a real Intel host: KVM modules through DKMS (root; DESTDIR)'
	@echo 'make uninstall       undo that'
	@echo 'Parts:'
	@echo '  sources bochs host-kernel guest-kernel io-kernel modules qemu tools guests io programs stock cloud gdb testbed'
	@echo 'More builds, to check the patches:'
	@echo '  modules-debian     external modules for Debian'\''s kernel'
	@echo '  modules-intree     inside the patched kernel tree'
	@echo '  modules-debug      for a host kernel with lockdep, KASAN, ... (debug-kernel)'
	@echo '  qemu-full          QEMU in its default configuration'
	@echo '  qemu-debian        Debian'\''s QEMU with its libraries, from its packages'
	@echo 'make clean           remove build/ (CACHE stays: $(CACHE))'
	@echo 'Variables: CACHE=dir, JOBS=n, REFRESH=1 (newer source packages), DESTDIR=dir;'
	@echo '  for check: SEED=n (other interleavings of the guests), SKID=n (late interrupts)'

deps:
	@scripts/deps.sh

# Everything else needs the packages; say so instead of failing in the middle.
check-deps:
	@scripts/deps.sh --check

sources: check-deps
	@scripts/sources.sh

bochs: sources
	@scripts/build-bochs.sh

host-kernel: sources
	@scripts/build-kernel.sh host

guest-kernel: sources
	@scripts/build-kernel.sh guest

io-kernel: sources
	@scripts/build-kernel.sh io

debug-kernel: sources
	@scripts/build-kernel.sh debug

modules: host-kernel
	@scripts/build-modules.sh own

modules-debug: debug-kernel
	@scripts/build-modules.sh debug

modules-debian: sources
	@scripts/build-modules.sh debian

modules-intree: sources
	@scripts/build-modules.sh intree

qemu: sources
	@scripts/build-qemu.sh small

qemu-full: sources
	@scripts/build-qemu.sh full

tools: check-deps
	@echo "[7/9] building the tools ..."
	@[ ! -f tools/Makefile ] || $(MAKE) -s --no-print-directory -C tools O=$(BUILD)/tools

guests: guest-kernel
	@echo "[8/9] building the guests ..."
	@[ ! -f tests/guests/Makefile ] || \
		$(MAKE) --no-print-directory -C tests/guests O=$(BUILD)/guests
	@ln -sf ../guest-kernel/vmlinux $(BUILD)/guests/vmlinux

# a Linux guest with devices; not in guests/, which every simulated host gets
io: guests io-kernel
	@$(MAKE) --no-print-directory -C tests/guests/linux O=$(BUILD)/io \
		$(BUILD)/io/io.cpio $(BUILD)/io/disk.img
	@ln -sf ../io-kernel/vmlinux $(BUILD)/io/vmlinux

# the benchmark's Linux guest; not in guests/, which every simulated host gets
programs: guests io-kernel
	@scripts/build-programs.sh
	@$(MAKE) --no-print-directory -C tests/guests/linux O=$(BUILD)/bench \
		PROGRAMS=$(BUILD)/debian-programs $(BUILD)/bench/programs.cpio \
		$(BUILD)/bench/threaded.cpio

# a guest with Debian's kernel; not in guests/ either
stock: guests
	@scripts/build-stock-kernel.sh
	@$(MAKE) --no-print-directory -C tests/guests/linux O=$(BUILD)/stock $(BUILD)/stock/stock.cpio
	@ln -sf ../stock-kernel/vmlinux $(BUILD)/stock/vmlinux

# a machine that boots Debian's kernel for clouds by itself
cloud: guests
	@scripts/build-cloud.sh
	@$(MAKE) --no-print-directory -C tests/guests/linux O=$(BUILD)/cloud \
		CLOUD=$(BUILD)/cloud-parts $(BUILD)/cloud/cloud.img
	@ln -sf ../cloud-parts/vmlinuz $(BUILD)/cloud/vmlinuz

# gdb, for the simulated host
gdb: sources
	@scripts/build-gdb.sh

# what tests/testbed/run needs, without the modules and QEMU
testbed: bochs host-kernel $(BUILD)/testbed/hostcon $(BUILD)/testbed/exits \
	 $(BUILD)/testbed/asked $(BUILD)/testbed/t_perf $(BUILD)/testbed/t_kvm

$(BUILD)/testbed/hostcon $(BUILD)/testbed/exits $(BUILD)/testbed/asked: $(BUILD)/testbed/%: tests/testbed/host/%.c
	@mkdir -p $(@D)
	@$(CC) -O2 -Wall -Wextra -static -o $@ $<

$(BUILD)/testbed/%: tests/testbed/pmu/%.c tests/testbed/pmu/pe.h
	@mkdir -p $(@D)
	@$(CC) -O2 -Wall -Wextra -static -o $@ $<

# ---- what people run

demo: deps
	@$(MAKE) --no-print-directory all gdb
	@tests/e2e/demo

demo-gdb: deps
	@$(MAKE) --no-print-directory all gdb
	@tests/e2e/demo --gdb

demo-disk: deps
	@$(MAKE) --no-print-directory all io
	@tests/e2e/demo --disk

check: all stock io gdb
	@scripts/check.sh unit model lint testbed pmu docs e2e

check-full: all stock programs io cloud gdb
	@scripts/check.sh unit model lint testbed pmu docs full

check-debug: all modules-debug io gdb
	@scripts/check.sh debug

check-unit: check-deps
	@scripts/check.sh unit model

check-testbed: testbed
	@scripts/check.sh testbed pmu

# what the patches are built against; QEMU's sources come with its build
lint: host-kernel qemu
	@scripts/check.sh lint

coverage: check-deps
	@tests/unit/coverage

check-docs: all io
	@scripts/check.sh docs

check-e2e: all stock io gdb
	@scripts/check.sh e2e

qemu-debian: sources
	@scripts/debian-qemu.sh

bench: all programs qemu-debian
	@tests/bench/run

bench-io: all io stock programs
	@$(MAKE) --no-print-directory -C tests/guests/linux O=$(BUILD)/io \
		PROGRAMS=$(BUILD)/debian-programs $(BUILD)/io/iobench.cpio \
		$(BUILD)/io/diskprograms.cpio $(BUILD)/io/sources.img
	@tests/bench/io

install: sources
	@scripts/install.sh install

uninstall:
	@scripts/install.sh uninstall

clean:
	rm -rf $(BUILD)

.PHONY: all help deps check-deps sources bochs host-kernel guest-kernel io-kernel \
	debug-kernel modules modules-debug modules-debian modules-intree qemu \
	qemu-full qemu-debian tools guests io programs stock cloud gdb testbed demo demo-disk demo-gdb check check-full check-debug \
	check-unit check-testbed check-docs \
	check-e2e lint coverage bench bench-io install uninstall clean
