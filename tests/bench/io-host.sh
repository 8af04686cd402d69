#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Measures machines with devices inside the simulated host: io-host.sh [WHAT]...
#
# WHAT: disk-pci or nvme (a disk by itself), untar (an archive unpacked from a disk and
# built there), tcp (from one guest to another) or boot (Debian's kernel); all if none.
# Prints a row of a table for each measure: its time in microseconds not recorded,
# recorded with what was read in the log, and by reference; then for each recording
# what its log holds, the exits, and how long the replay took.

. "${E2E:-/work/e2e}/lib.sh"
. "${E2E:-/work/e2e}/pair.sh"

rc=0 pass=$PASS
mhz=$(dmesg | sed -n 's/.*tsc: Detected \([0-9]*\).*/\1/p' | head -n 1)

failed()	# WHAT WHY FILE...
{
	echo "not ok io-$1: $2"
	shift 2
	tails "$@"
	rc=1
}

# measures FILE: "WHAT BYTES MICROSECONDS" for each
measures()
{
	tr -d '\r' < "$1" | awk -v mhz="$mhz" '
		$1 == "IO" { print $2, $3, $4 }
		$1 == "RESULT" && sub(/^cycles=/, "", $NF) { printf "%s 0 %d\n", $2, $NF / mhz }
		/^up after / { printf "kernel 0 %d\n", $3 * 1000000 }'
}

# table WHAT MODE...: of the files BASE.native.out and BASE.MODE.out
table()
{
	local what=$1 name bytes us mode row
	shift
	measures "$base.native.out" | while read -r name bytes us; do
		row="| $what | $name | $((bytes / 1024)) | $us |"
		for mode; do
			row="$row $(measures "$base.$mode.out" | awk -v w="$name" -v n="$us" '
				$1 == w { printf "%d (%.1f)", $3, $3 / n }') |"
		done
		echo "$row"
	done
}

total_exits()
{
	exits | tr ' ' '\n' | awk -F= '/^exit_/ { n += $2 } END { printf "%.0f", n }'
}

# recorded WHAT MODE [OPTION]...: the machine that machine() described, and its replay
recorded()
{
	local what=$1 mode=$2 exits took
	shift 2
	exits=$(total_exits)
	record "$base.$mode" "$@"
	exits=$(($(total_exits) - exits)) took=$TOOK
	if [ "$RC" != $PASS ]; then
		failed "$what" "$mode: status $RC" "$base.$mode.err"
		return 1
	fi
	replay "$base.rep" "$base.$mode.smr"
	if ! exact "$base.$mode" "$base.rep"; then
		failed "$what" "$mode: replay: status $RC" "$base.rep.err"
		return 1
	fi
	echo "$what $mode: log $LOG, stored $STORED bytes; $exits exits; recording $(seconds "$took") s, replay $(seconds "$TOOK") s"
	rm -f "$base.$mode.smr"
}

# alone WHAT MODE...: the same not recorded, and recorded with disk=MODE
alone()
{
	local what=$1 mode exits
	shift
	exits=$(total_exits)
	native "$base.native"
	echo "$what native: $(($(total_exits) - exits)) exits; $(seconds "$TOOK") s"
	if [ "$RC" != $PASS ]; then
		failed "$what" "native: status $RC" "$base.native.out" "$base.native.err"
		return
	fi
	for mode; do
		recorded "$what" "$mode" disk="$mode" || return
	done
	table "$what" "$@"
}

tcp()
{
	local mode side
	# 4 MiB
	PAIR_APPEND='bulk=64' NIC=virtio-net-device
	for mode in '' parallel; do
		run_pair tcp "$mode"
		for side in server client; do
			[ "$(cat "$TMP/tcp-$side.rc")" = $PASS ] ||
				failed tcp "$mode: $side" "$TMP/tcp-$side.out" "$TMP/tcp-$side.err"
		done
		cp "$TMP/tcp-client.out" "$base.${mode:-native}.out"
	done
	for side in server client; do
		summary "$TMP/tcp-$side"
		replay "$base.rep" "$TMP/tcp-$side.smr"
		exact "$TMP/tcp-$side" "$base.rep" || failed tcp "$side: replay: status $RC" "$base.rep.err"
		echo "tcp $side: log $LOG, stored $STORED bytes; replay $(seconds "$TOOK") s"
	done
	table tcp parallel
}

# measure WHAT
measure()
{
	local what=$1 base=$TMP/bench
	DEVICES='' DISK_IMAGE='' DISK_OPTIONS=,snapshot=on MACHINE=pc PASS=$pass
	case $what in
	disk-pci | nvme)
		DEVICES=$what
		machine iobench 2 '' ''
		alone "$what" inline ref;;
	untar)
		DEVICES=disk-pci DISK_IMAGE=sources.img
		machine diskprograms 2 '' ''
		alone untar inline ref;;
	boot)
		machine stock 2 '' ''
		alone boot inline ref;;
	tcp)
		unset MACHINE
		tcp;;
	*) failed "$what" 'there is no such measure';;
	esac
	rm -f "$base".*
}

[ $# -gt 0 ] || set -- disk-pci nvme untar tcp boot
for what; do
	measure "$what"
done
exit $rc
