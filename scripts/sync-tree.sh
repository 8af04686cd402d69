#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Brings a working copy of a source tree to "pristine plus patches", touching
# only files whose content changes, so that make or ninja rebuild no more than
# they must:
#
#	sync-tree.sh PRISTINE SERIES DEST
#
# DEST already holds the unpatched files it needs. The files patches touch are
# made anew from PRISTINE aside and then copied over if they differ; a file a
# patch touched the last time but no longer goes back to its pristine state.
# The tree in DEST is left alone if a patch does not apply.
set -euo pipefail

[ $# = 3 ] || { echo "usage: sync-tree.sh PRISTINE SERIES DEST" >&2; exit 2; }
pristine=$1 series=$2 dest=$3
list=$dest/.samsara-patched
top=$(dirname "$0")
tmp=$(mktemp -d "$dest/.sync.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

touched()
{
	local dir name
	dir=$(dirname "$series")
	while read -r name _; do
		case $name in ''|'#'*) continue;; esac
		[ -f "$dir/$name" ] || continue	# apply-series.sh will complain
		sed -nE 's,^(---|\+\+\+) [ab]/([^[:space:]]+).*,\2,p' "$dir/$name"
	done < "$series" | sort -u
}

touched > "$tmp/list"
mkdir "$tmp/tree"
while read -r f; do
	[ -f "$pristine/$f" ] || continue
	mkdir -p "$tmp/tree/$(dirname "$f")"
	cp "$pristine/$f" "$tmp/tree/$f"
done < "$tmp/list"
"$top/apply-series.sh" "$tmp/tree" "$series"

touch "$list"
while read -r f; do
	if [ -f "$tmp/tree/$f" ]; then new=$tmp/tree/$f; else new=$pristine/$f; fi
	if [ ! -f "$new" ]; then
		rm -f "${dest:?}/$f"
	elif ! cmp -s "$new" "$dest/$f"; then
		mkdir -p "$dest/$(dirname "$f")"
		cp "$new" "$dest/$f"
	fi
done < <(sort -u "$list" "$tmp/list")
cp "$tmp/list" "$list"
