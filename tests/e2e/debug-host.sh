#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Inside the simulated host with the debug kernel: see tests/e2e/debug.
#
#	CYCLES=N FUZZ_OPS=N debug-host.sh [--list] [PATTERN]...	see choose() in expect.sh

E2E=$(dirname "$0")
# Everything takes several times as long as elsewhere.
export LIMIT=400 LINUX_LIMIT=1000
# shellcheck source=tests/e2e/lib.sh
. "$E2E/lib.sh"
# shellcheck source=tests/e2e/expect.sh
. "$E2E/expect.sh"
choose "$@"

rc=0

# guest NAME GUEST VCPUS [OPTION]...: a case of record-replay.sh
guest()
{
	local name=$1 guest=$2 vcpus=$3
	wanted "$name-$vcpus" || return 0
	shift 3
	"$E2E/record-replay.sh" "$guest" "$vcpus" --name "$name" "$@" < /dev/null || rc=1
}

guests()
{
	guest racey racey 2 --append n=20000 chunk=2000 adaptive=0
	guest racey-serial racey 2 --append n=20000 mode=serial
	guest racey-crew racey 2 --append n=5000 mode=crew
	guest ipistorm ipistorm 2 --replays 1 adaptive=0
	guest ptwalk ptwalk 2 --replays 1 --phases 1 slice=50
	guest mmio mmio 2 --replays 1 adaptive=0
	guest linux linux 2 --replays 1
	guest disk io 2 --replays 1 --device disk-thread adaptive=0
}

# Two guests with a network between them
pairs()
{
	wanted net-pair || return 0
	"$E2E/devices.sh" net-pair
}

# Replays that are walked about in
walks()
{
	! wanted seek-racey || "$E2E/seek.sh" seek-racey || rc=1
	! wanted gdb-guilty || "$E2E/gdb.sh" gdb-guilty || rc=1
	! wanted gdb-many || "$E2E/gdb.sh" gdb-many || rc=1
}

# Memory in pages that were allocated one by one, in KiB: private copies and EPT
# tables are among them, and kmemleak does not know such.
single_pages()
{
	awk '/^MemTotal:/ { kb += $2 }
		/^(MemFree|Buffers|Cached|AnonPages|Slab|KernelStack|PageTables|VmallocUsed|Percpu):/ { kb -= $2 }
		$1 == "count:" { kb -= $2 * 4 }
		END { print kb }' /proc/meminfo /proc/zoneinfo
}

# The median of those lines of the file. If pages go to a processor's list or come from
# it, a batch of 63 at a time, between the readings of the two files above, a line is
# 252 KiB too low or too high.
median()	# FILE FROM TO
{
	sed -n "$2,$3p" "$1" | sort -n | sed -n "$((($3 - $2) / 2 + 1))p"
}

# Recordings begun and ended, replays, in a VMM of its own: nothing may be left.
cycles()
{
	local i=0 more=0
	wanted start-stop || return 0
	while [ $i -lt "$CYCLES" ]; do
		i=$((i + 1))
		if ! "$E2E/samsara_selftest" 2 500 1000 > /tmp/cycle 2>&1; then
			echo "not ok start-stop: cycle $i"
			tail -n 5 /tmp/cycle
			return 1
		fi
		# Each processor's part of the statistics.
		cat /proc/sys/vm/stat_refresh > /dev/null
		single_pages >> /tmp/single-pages
	done
	# The first ones may fill caches.
	[ $i -lt 25 ] ||
		more=$(($(median /tmp/single-pages $((i - 9)) $i) -
			$(median /tmp/single-pages 6 15)))
	# One page per cycle is more than this.
	if [ "$more" -gt $(((i - 15) * 3)) ] && [ $i -ge 25 ]; then
		echo "not ok start-stop: $more KiB more in single pages"
		return 1
	fi
	echo "ok start-stop $i cycles, $more KiB more in single pages"
}

# Attacks on the kernel interface, and random operations.
hostile()
{
	local name names=
	for name in $("$E2E/samsara_hostile" --list); do
		! wanted "$name" || names="$names $name"
	done
	[ -n "$names" ] || return 0
	# shellcheck disable=SC2086
	HOSTILE_LIMIT=200 "$E2E/samsara_hostile" $names
}

fuzz()
{
	wanted device-fuzz || return 0
	"$E2E/samsara_fuzz" --seed "$SEED" --ops "$FUZZ_OPS"
}

# What all the cases have left, so that it has no pattern: memory that nobody points at
# any more, of which the first scan finds what is on its way, too; and pinned pages.
leaks()
{
	local pinned
	pinned=$(pinned_pages)
	if [ "$pinned" != 0 ]; then
		echo "not ok leaks: $pinned pages are still pinned"
		return 1
	fi
	sleep 6
	if ! echo scan > /sys/kernel/debug/kmemleak; then
		echo "not ok leaks: kmemleak has given up"
		return 1
	fi
	echo scan > /sys/kernel/debug/kmemleak
	if grep -q . /sys/kernel/debug/kmemleak; then
		echo "not ok leaks"
		head -n 60 /sys/kernel/debug/kmemleak
		return 1
	fi
	echo "ok leaks none, $pinned pages pinned"
}

[ -n "$listing" ] || echo clear > /sys/kernel/debug/kmemleak
guests
pairs || rc=1
walks
hostile || rc=1
fuzz || rc=1
"$E2E/no-memory.sh" "$@" || rc=1
cycles || rc=1
if [ -n "$listing" ]; then
	echo leaks
else
	leaks || rc=1
fi
exit $rc
