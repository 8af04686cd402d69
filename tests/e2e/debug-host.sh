#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Inside the simulated host with the debug kernel: see tests/e2e/debug.

E2E=$(dirname "$0")
# Everything takes several times as long as elsewhere.
export LIMIT=400 LINUX_LIMIT=1000
# shellcheck source=tests/e2e/lib.sh
. "$E2E/lib.sh"

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

# The least of those lines of the file: what is on its way to be freed is not in it.
least()	# FILE FROM TO
{
	sed -n "$2,$3p" "$1" | sort -n | head -n 1
}

# Recordings begun and ended, replays, in a VMM of its own: nothing may be left.
cycles()
{
	local i=0 more=0 pinned
	while [ $i -lt "$nr_cycles" ]; do
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
		more=$(($(least /tmp/single-pages $((i - 9)) $i) - $(least /tmp/single-pages 6 15)))
	pinned=$(pinned_pages)
	# One page per cycle is more than this.
	if [ "$more" -gt $(((i - 15) * 3)) ] && [ $i -ge 25 ]; then
		echo "not ok start-stop: $more KiB more in single pages"
	elif [ "$pinned" != 0 ]; then
		echo "not ok start-stop: $pinned pages are still pinned"
	else
		echo "ok start-stop $i cycles, $more KiB more in single pages, $pinned pages pinned"
		return 0
	fi
	return 1
}

# Attacks on the kernel interface, and random operations.
hostile()
{
	local names
	names=$("$E2E/samsara_hostile" --list | grep "$only")
	[ -n "$names" ] || return 0
	# shellcheck disable=SC2086
	HOSTILE_LIMIT=200 "$E2E/samsara_hostile" $names
}

fuzz()
{
	echo device-fuzz | grep -q "$only" || return 0
	"$E2E/samsara_fuzz" --seed "$SEED" --ops "$FUZZ_OPS"
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
hostile || rc=1
fuzz || rc=1
"$E2E/no-memory.sh" "$only" || rc=1
cycles || rc=1
leaks || rc=1
exit $rc
