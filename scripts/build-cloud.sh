#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/cloud-parts: what a machine that boots Debian's kernel for clouds by itself has in
# it, from Debian's packages, unpacked, not installed: vmlinuz, modules/ for its disk,
# boot.img and core.img of GRUB, OVMF.fd, OVMF_CODE.fd and OVMF_VARS.fd of UEFI. "packages"
# beside them says what was taken.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

# in the order in which they are loaded
modules=(drivers/virtio/virtio_ring drivers/virtio/virtio drivers/virtio/virtio_pci_legacy_dev
	drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci drivers/block/virtio_blk)
grub=(biosdisk part_msdos ext2 normal configfile linux serial terminal echo)

build()
{
	local out=$1 dir all package m n=0
	dir=$(dirname "$out") all=$dir/all
	cd "$dir"
	use_archive
	# linux-image-cloud-amd64 itself is empty
	package=$(apt-cache depends linux-image-cloud-amd64 |
		sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
	[ -n "$package" ] || die "linux-image-cloud-amd64 names no kernel"
	unpack_packages "$all" "$package" grub-common grub-pc-bin ovmf
	sha256sum ./*.deb > "$out/packages"
	cp "$all"/boot/vmlinuz-* "$out/vmlinuz"
	mkdir "$out/modules"
	for m in "${modules[@]}"; do
		n=$((n + 1))
		cp "$all"/lib/modules/*/kernel/"$m.ko" "$out/modules/$n-${m##*/}.ko"
	done
	cp "$all/usr/lib/grub/i386-pc/boot.img" "$out/"
	"$all/usr/bin/grub-mkimage" -d "$all/usr/lib/grub/i386-pc" -O i386-pc \
		-p '(hd0,msdos1)/boot/grub' -o "$out/core.img" "${grub[@]}"
	cp "$all/usr/share/ovmf/OVMF.fd" "$all"/usr/share/OVMF/OVMF_{CODE,VARS}.fd "$out/"
}

lock cloud-parts
# With newer sources comes a newer kernel.
key=$( (declare -p modules grub; declare -f build; cat "$BUILD/sources/manifest.linux") |
	sha256sum | cut -c1-20)
is_cached cloud-parts "$key" || say "fetching Debian's kernel for clouds, GRUB and OVMF (38 MB) ..."
cached cloud-parts "$key" logged cloud-parts build
