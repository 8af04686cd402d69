#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Measures disks inside the simulated host: io-host.sh DEVICE...
#
# DEVICE: disk-pci or nvme of lib.sh. Prints a row of a table for each measure: its time in
# microseconds not recorded, recorded with what was read in the log, and by reference, then
# what the logs hold.

. "${E2E:-/work/e2e}/lib.sh"

measures()	# FILE: "WHAT BYTES MICROSECONDS"
{
	tr -d '\r' < "$1" | sed -n 's/^IO //p'
}

one()	# DEVICE
{
	local device=$1 base=$TMP/bench mode
	DEVICES=$device MACHINE=pc DISK_OPTIONS=,snapshot=on
	machine iobench 2 '' ''
	native "$base.native"
	[ "$RC" = $PASS ] || { echo "not ok io-$device: native: status $RC"; tails "$base.native.err"; return 1; }
	for mode in inline ref; do
		record "$base.$mode" disk=$mode
		[ "$RC" = $PASS ] || { echo "not ok io-$device: $mode: status $RC"; return 1; }
		replay "$base.rep" "$base.$mode.smr"
		exact "$base.$mode" "$base.rep" || { echo "not ok io-$device: replay: status $RC"; return 1; }
		echo "io $device $mode log=$LOG stored=$STORED record=$(seconds "$TOOK") replayed exactly"
	done
	measures "$base.native.out" | while read -r what bytes us; do
		echo "| $device | $what | $((bytes / 1024)) | $us |$(for mode in inline ref; do
			measures "$base.$mode.out" | awk -v w="$what" -v n="$us" '$1 == w {
				printf " %d (%.1f) |", $3, $3 / n }'
		done)"
	done
}

rc=0
for device; do
	one "$device" || rc=1
done
exit $rc
