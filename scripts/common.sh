# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Sourced by the build scripts: places, messages, and the cache.
#
# The cache holds downloads and finished third-party builds outside the clone.
# An entry's name ends in a hash over everything its content depends on, and it
# appears by rename when it is complete; so an entry that exists is right, and
# two builds at once do no harm.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$TOP/build}
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvm-samsara}
JOBS=${JOBS:-$(nproc)}
export LC_ALL=C TOP BUILD CACHE JOBS
# Interpreters of some other Python in the user's PATH confuse meson.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

mkdir -p "$BUILD/log" "$CACHE"

say()  { printf '%s\n' "samsara: $*"; }
die()  { printf '%s\n' "samsara: error: $*" >&2; exit 1; }

# step N TEXT: one of the steps of a whole build
step() { printf '[%s/9] %s\n' "$1" "$2"; }

# logged NAME COMMAND...: output goes to build/log/NAME.log; on failure its
# errors and its end are shown. The command runs in the background because
# errexit would be off inside a function called as a condition.
logged()
{
	local log=$BUILD/log/$1.log start=$SECONDS rc=0
	shift
	"$@" > "$log" 2>&1 < /dev/null &
	wait $! || rc=$?
	if [ $rc = 0 ]; then
		echo "      done in $((SECONDS - start)) s"
		return 0
	fi
	grep -nE '(error|Error|ERROR|FAILED|fatal|undefined|No such file|does not apply|\*\*\*)' "$log" | head -20 >&2 || true
	echo '  ...' >&2
	tail -15 "$log" >&2
	die "failed after $((SECONDS - start)) s; the whole output is in $log"
}

# lock NAME: until the script ends, so that two makes in one clone do not work
# in the same directory
lock()
{
	exec 9> "$BUILD/.lock-$1"
	flock -n 9 || { say "waiting for another build of $1"; flock 9; }
}

# key FUNCTION FILE...: hash of a build recipe (a shell function) and of the
# names, without directories, and contents of the files it works on
key()
{
	local f
	{
		declare -f "$1"
		shift
		for f; do
			printf '%s ' "${f##*/}"
			sha256sum < "$f"
		done
	} | sha256sum | cut -c1-20
}

# use_archive: from here on apt-get and apt-cache are about Debian 12's archive
use_archive()
{
	"$TOP/scripts/apt-root.sh" "$CACHE/sources/apt"
	export APT_CONFIG=$CACHE/sources/apt/apt.conf
}

# unpack_packages DIR PACKAGE...: unpacks, without installing, what it downloads to the
# current directory
unpack_packages()
{
	local root=$1 deb
	shift
	apt-get -q download "$@"
	for deb in ./*.deb; do dpkg -x "$deb" "$root"; done
}

is_cached() { [ -d "$CACHE/$1-$2" ]; }

# store NAME KEY BUILDER...: makes the cache entry NAME-KEY if there is none;
# BUILDER DIR fills DIR.
store()
{
	local entry=$CACHE/$1-$2 tmp
	[ ! -d "$entry" ] || return 0
	tmp=$(mktemp -d "$CACHE/.tmp-$1-XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$tmp'" EXIT
	shift 2
	mkdir "$tmp/out"
	"$@" "$tmp/out"
	mv -T "$tmp/out" "$entry" 2>/dev/null || [ -d "$entry" ] || die "cannot write $entry"
	rm -rf "$tmp"
	trap - EXIT
}

# cached NAME KEY BUILDER...: the same, and build/NAME becomes a link to it
cached()
{
	store "$@"
	ln -sfn "$CACHE/$1-$2" "$BUILD/$1"
}

# each_patch SERIES BUILDER FILE...: runs BUILDER with each prefix of the series, a series
# file, and prints "ok PATCH" or "not ok PATCH ..." for its last patch. What builds is not
# built again until a patch up to there, BUILDER or a FILE changes.
each_patch()
{
	local series=$1 builder=$2 dir name names key files=() rc=0
	shift 2
	mapfile -t names < <(sed '/^#/d; s/[[:space:]].*//; /^$/d' "$series")
	dir=$BUILD/lint/$builder
	rm -rf "$dir"
	mkdir -p "$dir"
	for name in "${names[@]}"; do
		cp "$(dirname "$series")/$name" "$dir/"
		echo "$name" >> "$dir/series"
		files+=("$dir/$name")
		key=$(key "$builder" "${files[@]}" "$@")
		if is_cached patches "$key"; then
			echo "ok $name"
			continue
		fi
		# in the background, see logged()
		"$builder" "$dir/series" > "$dir/$name.log" 2>&1 < /dev/null &
		if wait $!; then
			mkdir -p "$CACHE/patches-$key"
			echo "ok $name"
		else
			echo "not ok $name: see $dir/$name.log"
			grep -nE '(error|Error|FAILED|undefined|does not apply|\*\*\*)' "$dir/$name.log" | head -n 10
			rc=1
		fi
	done
	return $rc
}
