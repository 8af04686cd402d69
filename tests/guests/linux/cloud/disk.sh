#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# disk.sh PARTS ROOT INITRD IMAGE: makes a disk that boots by itself, of what
# scripts/build-cloud.sh has left in PARTS and a root file system; the same bits whenever
# it was made. GRUB is before the first partition.
set -eu
parts=$1 root=$2 initrd=$3 image=$4
here=$(dirname "$0")
mib=32	# of the partition, which begins after 1 MiB
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp -r "$root/." "$tree"
mkdir -p "$tree/boot/grub"
cp "$parts/vmlinuz" "$tree/boot/"
cp "$initrd" "$tree/boot/initrd"
cp "$here/grub.cfg" "$tree/boot/grub/"
find "$tree" -exec touch -hd @1700000000 {} +

rm -f "$image.tmp"
truncate -s "$((mib + 1))M" "$image.tmp"
export E2FSPROGS_FAKE_TIME=1700000000
mke2fs -q -F -t ext4 -b 4096 -d "$tree" -L samsara -O ^metadata_csum,^has_journal \
	-U 5a3d1c00-0000-4000-8000-000000000003 -E offset=1048576 \
	-E hash_seed=5a3d1c00-0000-4000-8000-000000000004,offset=1048576 \
	"$image.tmp" "${mib}M" > /dev/null
# The boot sector reads core.img from the sector after it.
dd if="$parts/boot.img" of="$image.tmp" bs=440 count=1 conv=notrunc status=none
dd if="$parts/core.img" of="$image.tmp" bs=512 seek=1 conv=notrunc status=none
# One partition of type 83, from sector 2048, bootable; the addresses by cylinder say "too
# large"; and what every boot sector ends with.
{
	printf '\200\376\377\377\203\376\377\377\000\010\000\000'
	# so many sectors
	for shift in 0 8 16 24; do
		printf '%b' "\\0$(printf %o $((mib * 2048 >> shift & 255)))"
	done
} | dd of="$image.tmp" bs=1 seek=446 conv=notrunc status=none
printf '\125\252' | dd of="$image.tmp" bs=1 seek=510 conv=notrunc status=none
mv "$image.tmp" "$image"
