#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Installs the Debian packages the build and the tests need, as far as they are
# missing; with --check it only says which.
set -euo pipefail

packages=(
	# compilers and what the kernel's build wants
	build-essential bc bison flex libelf-dev libssl-dev xz-utils cpio kmod
	rsync python3 patch dpkg-dev debian-archive-keyring ca-certificates
	# QEMU
	ninja-build meson pkg-config libglib2.0-dev libpixman-1-dev libfdt-dev
	libcapstone-dev
	# ... and the tool, which wants libelf-dev besides
	zlib1g-dev liblz4-dev
	# the simulated host: BIOS, boot loader, user space
	bochsbios vgabios isolinux syslinux-common genisoimage busybox-static e2fsprogs
	qemu-system-data seabios ipxe-qemu
	# tests
	libcmocka-dev spin shellcheck
)

missing=()
for p in "${packages[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done

if [ ${#missing[@]} = 0 ]; then
	[ "${1:-}" = --check ] || echo "samsara: all needed Debian packages are installed"
	exit 0
fi
if [ "${1:-}" = --check ]; then
	echo "samsara: error: Debian packages are missing: ${missing[*]}" >&2
	echo "samsara: run \`make deps' (it installs them with apt-get, as root or through sudo)" >&2
	exit 1
fi

sudo=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo > /dev/null || { echo "samsara: error: installing ${missing[*]} needs root" >&2; exit 1; }
	sudo=(sudo)
fi
echo "samsara: installing: ${missing[*]}"
"${sudo[@]}" apt-get -q update
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
	apt-get -q -y --no-install-recommends install "${missing[@]}"
