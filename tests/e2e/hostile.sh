#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Recordings that say what KVM can't have logged, or what did not happen: each must
# end in a divergence that names commit and field, and the host must be as before.
# The files are whole, all checksums are right.
#
#	hostile.sh [--list] [PATTERN]...	see choose() in expect.sh

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/expect.sh
. "$(dirname "$0")/expect.sh"
choose "$@"

HUGE=0xfffffffffffff000

# base NAME GUEST APPEND: a recording to change
base()
{
	[ -z "$listing" ] || return 0
	machine "$2" 2 "$3" 0xe9
	record "$TMP/$1" adaptive=0 memdigest=64
	[ "$RC" = $PASS ] && [ -n "$COMMITS" ] && return
	not_ok "$1" "no recording to change: status $RC"
	exit 1
}

# edit FROM TO STREAM COMMIT FIELD VALUE: sets AT, "commit N, vCPU M" that was changed
edit()
{
	local line
	line=$(/work/e2e/recedit "$1" "$2" record "$3" "$4" "$5" "$6" 2>&1)
	AT=$(echo "$line" | sed -nE 's/^(vCPU [0-9]+|VM), (commit [0-9]+): .*/\2, \1/p')
	[ -n "$AT" ] || echo "$line" > "$TMP/edit"
}

# changed NAME FIELD-OF-DIVERGENCE [VERIFY-STATUS]: $TMP/NAME.smr, changed at AT
changed()
{
	local status
	if [ -z "$AT" ]; then
		echo "not ok $1: $(cat "$TMP/edit")"
		failures=$((failures + 1))
		return
	fi
	samsara verify "$TMP/$1.smr" > "$TMP/$1.verify"
	status=$?
	replay "$TMP/$1" "$TMP/$1.smr"
	if [ $status != "${3:-0}" ]; then
		not_ok "$1" "verify: status $status, not ${3:-0}: $(tail -n 1 "$TMP/$1.verify")"
	elif [ $status = 1 ] && ! grep -q "$AT: .*KVM can't have produced" "$TMP/$1.verify"; then
		not_ok "$1" "verify does not name $AT"
	else
		expect "$1" $DIVERGED "DIVERGED at $AT: field ($2):"
	fi
	rm -f "$TMP/$1.smr"
}

# hostile NAME BASE STREAM COMMIT FIELD VALUE FIELD-OF-DIVERGENCE [VERIFY-STATUS]
hostile()
{
	wanted "$1" || return 0
	edit "$TMP/$2.smr" "$TMP/$1.smr" "$3" "$4" "$5" "$6"
	changed "$1" "$7" "$8"
}

# hostile_event NAME INFORMATION FIELD VALUE: an event that is something else, and that field
hostile_event()
{
	wanted "$1" || return 0
	edit "$TMP/mmio.smr" "$TMP/$1.0" any 1 event "$2"
	edit "$TMP/$1.0" "$TMP/$1.smr" any 1 "$3" "$4"
	changed "$1" log 1
}

results()
{
	# at several places: by ports and memory, handled or not, in and out
	local at
	for at in 1 60 120 180 240 300; do
		hostile "bus-result-$at" mmio any $at bus-ret -4096 input 1
	done
	hostile bus-result-positive mmio any 1 bus-ret 1 'input|register digest'
	hostile mmio-result-short mmio any 1 mmio-ret -1 input 1
	hostile mmio-result-long mmio any 1 mmio-ret 120 input
	hostile bus-length mmio any 100 bus-data-len 120 input
	hostile mmio-result-0 mmio any 1 mmio-ret 0 'input|register digest'
	hostile user-length mmio any 1 user-len 4096 input
	hostile user-length-0 mmio any 1 user-len 0 input 1
	hostile rdmsr-result mmio any 1 rdmsr-ret -4096 input 1
	hostile wrmsr-result mmio any 1 wrmsr-ret -4096 input 1
	hostile wrmsr-fails mmio any 1 wrmsr-ret 1 'input|register digest'
	hostile rdmsr-value mmio any 1 rdmsr-value 0xffffffff 'register digest'
	hostile time mmio-tsc any 1 tsc 1 'register digest'
	hostile item-missing mmio any 100 drop-item 0 input
	hostile item-too-many mmio 0 100 add-chunk-item 0 input
	hostile item-of-sections mmio 0 100 add-chunk-item 1 input 1
}

events()
{
	hostile event-type mmio any 1 event 0x80000702 log 1
	hostile event-reserved mmio any 1 event 0x80001020 log 1
	hostile event-invalid mmio any 1 event 0x20 log 1
	hostile event-other mmio any 1 event 0x80000b0d 'register digest|exit reason|position'
	hostile event-vector mmio any 1 event 0x800000fe 'register digest|exit reason|position'
	hostile event-none mmio any 100 chunk-flags 1 log 1
	hostile event-no-length mmio any 1 event 0x80000480 log 1
	hostile_event event-length 0x80000480 event-len 16
	hostile_event event-error 0x80000b0e event-error 0x10000
	hostile_event event-dr6 0x80000301 event-aux 0x100000000
	hostile sipi mmio any 1 sipi 0xff 'register digest|exit reason|position'
}

touch_nowhere()	# NAME
{
	wanted "$1" || return 0
	edit "$TMP/mmio.smr" "$TMP/$1.0" any 100 end 256
	edit "$TMP/$1.0" "$TMP/$1.smr" any 100 gpa $HUGE
	changed "$1" log
}

# Where chunks end.
ends()
{
	hostile end-unknown mmio any 100 end 65535 'exit reason'
	hostile end-hlt mmio any 100 end 12 'exit reason'
	hostile end-touch mmio any 100 end 256 'exit reason'
	touch_nowhere end-touch-nowhere
	hostile end-async mmio any 100 end 1 'position|exit reason|register digest'
	hostile branches mmio-tsc any 1 branches 0x7fffffff0000 'position|exit reason'
	hostile branches-0 mmio-tsc any 1 branches 0 'position|register digest'
	hostile branches-most mmio-tsc any 1 branches 0xffffffffffffffff log 1
	hostile jumps-most mmio-tsc any 1 jumps 0xffffffffffffffff log 1
	hostile rcx mmio-tsc any 1 rcx 0x123456 'position|exit reason'
	hostile rip mmio-tsc any 1 rip 0x123456789 'position|exit reason'
}

devices()
{
	hostile dma-nowhere mmio vm 1 dma-gpa $HUGE log
	hostile dma-rom mmio vm 1 dma-gpa 0xfee00000 log
}

memory()
{
	wanted memory-digest || return 0
	hostile memory-digest mmio any 100 mem-digest 1 'memory digest'
	reports memory-digest 'Memory was right after commit [0-9]+; written since, by RAM address: 0x' \
		' [(][1-9][0-9]* pages[)]$' 'memdigest=1'
}

# A number that two vCPUs' records have: the recording ends before it.
duplicate()
{
	local n
	wanted duplicate || return 0
	n=$(samsara dump "$TMP/mmio.smr" | awk '
		$2 == "vcpu" && $3 == 1 && last == 0 && $1 > 300 { print $1; exit }
		{ last = $2 == "vcpu" ? $3 : -1 }')
	edit "$TMP/mmio.smr" "$TMP/duplicate.smr" 0 $((n - 1)) commit-seq "$n"
	samsara verify "$TMP/duplicate.smr" > "$TMP/duplicate.verify"
	replay "$TMP/duplicate" "$TMP/duplicate.smr"
	if [ "$RC" = "$EXACT" ] && [ "$R_COMMITS" = $((n - 2)) ] &&
	   grep -q "replayable to commit $((n - 2)) of" "$TMP/duplicate.verify"; then
		ok duplicate "commit $n is there twice, replays up to $((n - 2))"
	else
		not_ok duplicate "status $RC, ${R_COMMITS:-no} commits, not $((n - 2))"
	fi
}

base mmio mmio n=20
base mmio-tsc timer ''
results
events
ends
devices
memory
duplicate
still_works works-after-hostile
exit $((failures > 0))
