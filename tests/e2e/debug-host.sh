#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Inside the simulated host with the debug kernel: see tests/e2e/debug.

E2E=$(dirname "$0")
# Everything takes several times as long as elsewhere.
export LIMIT=400 LINUX_LIMIT=1000
rc=0
only=${1:-.} nr_cycles=${2:-50}

cases()
{
	cat <<-EOF
	racey 2 --append n=20000 chunk=2000 adaptive=0
	racey 2 --name racey-serial --append n=20000 mode=serial
	racey 2 --name racey-crew --append n=5000 mode=crew
	ipistorm 2 --replays 1 adaptive=0
	ptwalk 2 --replays 1 --phases 1 slice=50
	mmio 2 --replays 1 adaptive=0
	linux 2 --replays 1
	EOF
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

pinned_pages()
{
	awk '$1 == "nr_foll_pin_acquired" { n += $2 } $1 == "nr_foll_pin_released" { n -= $2 }
		END { print n }' /proc/vmstat
}

# Recordings begun and ended, replays, in a VMM of its own: nothing may be left.
cycles()
{
	local i=0 before
	while [ $i -lt "$nr_cycles" ]; do
		i=$((i + 1))
		if ! "$E2E/samsara_selftest" 2 500 1000 > /tmp/cycle 2>&1; then
			echo "not ok start-stop: cycle $i"
			tail -n 5 /tmp/cycle
			return 1
		fi
		# The first ones may fill caches.
		[ $i != 5 ] || before=$(cat /proc/sys/vm/stat_refresh; single_pages)
	done
	# Each processor's part of the statistics.
	cat /proc/sys/vm/stat_refresh > /dev/null
	set -- $(($(single_pages) - ${before:-0})) "$(pinned_pages)"
	# One page per cycle is more than this.
	if [ $i -gt 5 ] && [ "$1" -gt 160 ]; then
		echo "not ok start-stop: $1 KiB more in single pages"
	elif [ "$2" != 0 ]; then
		echo "not ok start-stop: $2 pages are still pinned"
	else
		echo "ok start-stop $i cycles, $1 KiB more in single pages, $2 pages pinned"
		return 0
	fi
	return 1
}

# What nobody points at any more. The first scan finds what is on its way, too.
leaks()
{
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
	echo "ok leaks none"
}

echo clear > /sys/kernel/debug/kmemleak
cases | grep "$only" > /tmp/cases
while read -r args; do
	# shellcheck disable=SC2086
	"$E2E/record-replay.sh" $args < /dev/null || rc=1
done < /tmp/cases
"$E2E/no-memory.sh" "$only" || rc=1
cycles || rc=1
leaks || rc=1
exit $rc
