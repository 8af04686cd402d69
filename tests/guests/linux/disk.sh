#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# disk.sh IMAGE [DIRECTORY]: makes the disk of the Linux guest with devices, an ext4 file
# system with files of all sizes and their sums in files/, or with an archive of the
# directory; the same bits whenever it was made.
set -eu
image=$1 directory=${2:-}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

files_of_all_sizes()
{
	mkdir "$tree/files"
	cd "$tree/files"
	seq 1 50000 > numbers
	cp /bin/busybox .
	seq 1 40 | while read -r n; do seq 1 "$((n * n))" > "small$n"; done
	: > empty
	md5sum ./* > SUMS
}

archive()	# DIRECTORY
{
	tar -cf "$tree/$(basename "$1").tar" -C "$(dirname "$1")" --sort=name --owner=0 --group=0 \
		--mtime=@1700000000 "$(basename "$1")"
}

if [ -n "$directory" ]; then
	archive "$directory"
else
	files_of_all_sizes
fi
find "$tree" -exec touch -hd @1700000000 {} +
cd /
rm -f "$image.tmp"
export E2FSPROGS_FAKE_TIME=1700000000
mke2fs -q -t ext4 -b 4096 -d "$tree" -L samsara -O ^metadata_csum,^has_journal \
	-U 5a3d1c00-0000-4000-8000-000000000001 \
	-E hash_seed=5a3d1c00-0000-4000-8000-000000000002 "$image.tmp" 12M > /dev/null
mv "$image.tmp" "$image"
