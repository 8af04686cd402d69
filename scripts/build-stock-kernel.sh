#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/stock-kernel: the kernel that Debian's users have. vmlinux is what vmlinuz of its
# package unpacks itself to, which takes 12 s of simulated time. "package" beside it says
# what was taken.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

build()
{
	local out=$1 package
	cd "$(dirname "$out")"
	use_archive
	# linux-image-amd64 itself is empty
	package=$(apt-cache depends linux-image-amd64 |
		sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
	[ -n "$package" ] || die "linux-image-amd64 names no kernel"
	apt-get -q download "$package"
	sha256sum ./*.deb > "$out/package"
	dpkg --fsys-tarfile ./*.deb | tar xO --wildcards './boot/vmlinuz-*' > vmlinuz
	"$BUILD/linux/scripts/extract-vmlinux" vmlinuz > "$out/vmlinux"
	strip "$out/vmlinux"
}

lock stock-kernel
# With newer sources comes a newer kernel.
key=$(key build "$BUILD/sources/manifest.linux")
is_cached stock-kernel "$key" || say "fetching Debian's kernel (about 70 MB) ..."
cached stock-kernel "$key" logged stock-kernel build
