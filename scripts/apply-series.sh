#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Applies the patches a series file lists to a source tree:
#
#	apply-series.sh SOURCE-DIR SERIES-FILE
#
# Stops at the first patch that does not apply, names the patch, the file and
# the hunk, and leaves the tree as that patch found it (the patches before it
# stay applied). Fuzz is not accepted: a hunk that only nearly fits may land in
# the wrong function.
set -euo pipefail

[ $# = 2 ] || { echo "usage: apply-series.sh SOURCE-DIR SERIES-FILE" >&2; exit 2; }
src=$1 series=$2
dir=$(cd "$(dirname "$series")" && pwd)
[ -d "$src" ] || { echo "apply-series: no such directory: $src" >&2; exit 2; }

while read -r name _; do
	case $name in ''|'#'*) continue;; esac
	patch=$dir/$name
	if [ ! -f "$patch" ]; then
		echo "apply-series: $series names $name, which does not exist" >&2
		exit 1
	fi
	if ! out=$(patch -d "$src" -p1 --dry-run --forward --fuzz=0 --batch < "$patch" 2>&1); then
		echo "apply-series: $name does not apply to $src:" >&2
		# "patching file F" / "checking file F" precedes the hunks of F
		awk '/^(checking|patching) file /{f=$3}
		     /^[|]\+\+\+ /{print "  " $2 ": no such file"}
		     /FAILED|Reversed|malformed|already exists/{print "  " f ": " $0}' <<< "$out" >&2
		exit 1
	fi
	patch -d "$src" -p1 --forward --fuzz=0 --batch --no-backup-if-mismatch -s < "$patch"
done < "$series"
