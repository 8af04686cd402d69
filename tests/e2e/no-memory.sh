#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# The host has no memory for the engine, inside the simulated host with the debug
# kernel: its fault injection lets chosen allocations of chosen functions fail. A
# recording ends then, says so, and can be replayed up to there; the guest goes on.
# At the start, QEMU refuses.
#
#	no-memory.sh [--list] [PATTERN]...	see choose() in expect.sh

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/expect.sh
. "$(dirname "$0")/expect.sh"
# shellcheck source=tests/e2e/qmp.sh
. "$(dirname "$0")/qmp.sh"
choose "$@"

INJECT=/sys/kernel/debug
ENDED='recording ended: the kernel could not go on: Cannot allocate memory'
REFUSED='the kernel refuses to .*: Cannot allocate memory'
ALL=1000000
real_qemu=$QEMU QEMU=$TMP/may-fail

# bounds FUNCTION: its first and its last address
bounds()
{
	awk -v name="$1" '$3 == name { from = $1 }
		from && $1 != from { print "0x" from, "0x" $1; exit }' "$TMP/symbols"
}

# fail page|slab WITHIN [EVERY [TIMES [BUT]]]: from now on, while function WITHIN runs
# and BUT does not. Of all the tasks' allocations, only every EVERYth may fail; a
# single failure is often made up for, by a smaller allocation. kmemleak does without
# its own.
fail()
{
	local kind=$1 within=$2 every=${3:-1} times=${4:-$ALL} but=${5:-__create_object}
	case $kind in
	page) attr=$INJECT/fail_page_alloc;;
	slab) attr=$INJECT/failslab;;
	esac
	# shellcheck disable=SC2046
	set -- $(bounds "$within") $(bounds "$but")
	[ $# = 4 ] || { not_ok "$name" "no function $within or $but"; exit 1; }
	set_attr require-start "$1"
	set_attr require-end "$2"
	set_attr reject-start "$3"
	set_attr reject-end "$4"
	set_attr interval "$every"
	set_attr times "$times"
	TIMES=$times
	set_attr probability 100
}

set_attr()
{
	echo "$2" > "$attr/$1"
}

# Sets FAILED: has an allocation failed?  Only if fail() was to make one fail.
no_more_failures()
{
	set_attr probability 0
	FAILED=
	[ "$(cat "$attr/times")" = "$TIMES" ] || FAILED=1
}

setup()
{
	local a
	for a in fail_page_alloc failslab; do
		attr=$INJECT/$a
		[ -f "$attr/require-start" ] || { echo "not ok no-memory: no $attr"; exit 1; }
		set_attr probability 0
		set_attr task-filter Y
		set_attr ignore-gfp-wait N
		set_attr verbose 1
	done
	echo N > $INJECT/fail_page_alloc/ignore-gfp-highmem
	echo 0 > $INJECT/fail_page_alloc/min-order
	grep -i ' t ' /proc/kallsyms | sort > "$TMP/symbols"
	# All threads of it inherit the mark.
	printf '#!/bin/sh\necho 1 > /proc/self/make-it-fail\nexec %s "$@"\n' \
		"$real_qemu" > "$QEMU"
	sed "s,$real_qemu,$(dirname "$0")/samsara_selftest," "$QEMU" > "$TMP/selftest"
	chmod +x "$QEMU" "$TMP/selftest"
}

begin()	# NAME
{
	name=$1 rec=$TMP/$1
	wanted "$1"
}

# The last recording ended early, the guest did not, and as much as was recorded
# replays.
ended_early()
{
	local json to
	no_more_failures
	[ -n "$FAILED" ] || { not_ok "$name" 'no allocation has failed' "$rec.err"; return; }
	[ "$RC" = $PASS ] || { not_ok "$name" "QEMU status $RC, not $PASS" "$rec.out" "$rec.err"; return; }
	grep -q "$ENDED" "$rec.err" || { not_ok "$name" 'no reason given' "$rec.err"; return; }
	[ -n "$(result_of "$rec.out")" ] || { not_ok "$name" 'no RESULT' "$rec.out"; return; }
	json=$(samsara verify --json "$rec.smr" 2> "$rec.verify")
	to=$(echo "$json" | sed -n 's/.*"replayable": *\([0-9]*\).*/\1/p')
	[ "$to" = "$COMMITS" ] ||
		{ not_ok "$name" "$COMMITS commits, replayable ${to:-none}" "$rec.err" "$rec.verify"; return; }
	replay "$rec.rep" "$rec.smr"
	if [ "$to" = 0 ]; then
		[ "$RC" = 2 ] || { not_ok "$name" "replay of nothing: status $RC" "$rec.rep.err"; return; }
	elif [ "$RC" != 0 ] || [ "$R_COMMITS" != "$to" ]; then
		not_ok "$name" "replay: status $RC, ${R_COMMITS:-no} of $to commits" "$rec.rep.err"
		return
	fi
	# what the guest had written by then
	head -c "$(stat -c %s "$rec.rep.out")" "$rec.out" | cmp -s - "$rec.rep.out" ||
		{ not_ok "$name" 'the output differs' "$rec.out" "$rec.rep.out"; return; }
	echo "ok $name: ended after $to commits, the guest went on"
	rm -f "$rec".*
}

# recording NAME GUEST APPEND OPTIONS FAIL-ARGUMENT...
recording()
{
	begin "$1" || return 0
	local guest=$2 append=$3 options=$4
	shift 4
	machine "$guest" 2 "$append" 0xe9
	fail "$@"
	# shellcheck disable=SC2086
	record "$rec" $options
	ended_early
}

# The same with on-error=stop: the guest goes no further than its log.
stops()
{
	begin "$1" || return 0
	local guest=$2 append=$3 options=$4
	shift 4
	machine "$guest" 2 "$append" 0xe9
	fail "$@"
	# shellcheck disable=SC2086
	start_qemu "$name" $ARGS -append "$append" \
		-record "file=$rec.smr,on-error=stop,$options"
	stopped "$name" kernel "$rec.smr"
	no_more_failures
	[ -n "$FAILED" ] || not_ok "$name" 'no allocation has failed'
}

# No memory for the EPTs of a serial phase: the recording stays parallel, and whole.
no_serial_phase()
{
	begin no-serial-phase || return 0
	machine falseshare 2 '' 0xe9
	fail page samsara_ept_map_all
	record "$rec" chunk=500 slice=50
	no_more_failures
	[ -n "$FAILED" ] || { not_ok "$name" 'no allocation has failed' "$rec.err"; return; }
	if [ "$RC" != $PASS ] || [ "$PHASES" != 0 ]; then
		not_ok "$name" "QEMU status $RC, $PHASES serial phases" "$rec.err"
		return
	fi
	replay "$rec.rep" "$rec.smr"
	exact "$rec" "$rec.rep" || { not_ok "$name" "replay: status $RC" "$rec.rep.err"; return; }
	echo "ok $name: parallel to the end, $COMMITS commits"
}

# refusal NAME RECORD-OPTIONS FAIL-ARGUMENT...
refusal()
{
	begin "$1" || return 0
	local options=$2
	shift 2
	machine hello 2 n=10 0xe9
	fail "$@"
	# shellcheck disable=SC2086
	record "$rec" $options
	no_more_failures
	[ -n "$FAILED" ] || { not_ok "$name" 'no allocation has failed' "$rec.err"; return; }
	if [ "$RC" != 1 ] || ! grep -q "$REFUSED" "$rec.err"; then
		not_ok "$name" "status $RC" "$rec.err"
	elif [ -e "$rec.smr" ]; then
		not_ok "$name" 'it leaves a file'
	else
		echo "ok $name: $(grep "$REFUSED" "$rec.err" | sed 's/^qemu-system-x86_64: //')"
	fi
}

# A replay without memory says so, too.
no_replay()
{
	begin no-replay || return 0
	machine hello 2 n=10 0xe9
	record "$rec"
	fail "$@"
	replay "$rec.rep" "$rec.smr"
	no_more_failures
	[ -n "$FAILED" ] || { not_ok "$name" 'no allocation has failed' "$rec.rep.err"; return; }
	[ "$RC" = 5 ] || { not_ok "$name" "status $RC, not 5" "$rec.rep.err"; return; }
	echo "ok $name: $(grep -m 1 samsara: "$rec.rep.err" | sed 's/^qemu-system-x86_64: //')"
}

# Through the kernel's interface only, with failures at many places, one at a time:
# creating the device, configuring, starting, running. Either nothing failed or
# the program says what; and then it works again.
#
# sweep page|slab FUNCTION TIMES EVERY...
sweep()
{
	begin "sweep-$1-$2" || return 0
	local kind=$1 within=$2 times=$3 every failed=0 all=0
	shift 3
	for every; do
		fail "$kind" "$within" "$every" "$times"
		timeout "$LIMIT" "$TMP/selftest" 2 200 1000 > "$rec.out" 2>&1
		RC=$?
		no_more_failures
		all=$((all + 1))
		if [ "$RC" = 0 ]; then continue; fi
		if [ -z "$FAILED" ] || [ "$RC" != 1 ] ||
		   ! grep -q -e '^FAIL' -e 'state [0-9]* error -' "$rec.out"; then
			not_ok "$name" "every ${every}th: status $RC" "$rec.out"
			return
		fi
		failed=$((failed + 1))
	done
	[ $failed -gt 0 ] || { not_ok "$name" "no failure in $all runs"; return; }
	"$TMP/selftest" 2 200 1000 > "$rec.out" 2>&1 ||
		{ not_ok "$name" 'it does not work any more' "$rec.out"; return; }
	echo "ok $name: $failed of $all runs failed"
}

[ -n "$listing" ] || setup
# adaptive=0: a serial phase needs no copies, and can do without tables.
recording no-copy-at-all racey n=2000 adaptive=0 page samsara_ept_fault 1 1 samsara_ept_leaf
recording no-copy racey n=20000 chunk=2000,adaptive=0 page samsara_ept_fault 5 1 samsara_ept_leaf
recording no-copy-for-long ptwalk '' adaptive=0 page samsara_ept_fault 7 $ALL samsara_ept_leaf
recording no-copy-ticketlock ticketlock n=500 chunk=2000,adaptive=0 page samsara_ept_fault 11 $ALL samsara_ept_leaf
stops stop-no-counter racey n=100000000 adaptive=0 slab samsara_counter_init
stops stop-no-copy racey n=100000000 chunk=2000,adaptive=0 page samsara_ept_fault 5 1 samsara_ept_leaf
recording no-table racey n=2000 chunk=2000,adaptive=0 page samsara_ept_leaf 2
recording no-table-struct racey n=2000 chunk=2000,adaptive=0 slab samsara_ept_leaf 3
recording no-table-crew racey n=2000 mode=crew page samsara_ept_leaf 3
recording no-table-ptwalk ptwalk '' adaptive=0 page samsara_ept_leaf 5
recording no-table-crew-ptwalk ptwalk '' mode=crew page samsara_ept_leaf 5
recording no-counter racey n=2000 '' slab samsara_counter_init
recording no-counter-serial racey n=2000 mode=serial slab samsara_counter_init 3
recording no-copy-linux linux '' adaptive=0 page samsara_ept_fault 101
no_serial_phase
refusal no-device '' slab samsara_device_create
refusal no-config '' slab samsara_device_set_attr
refusal no-rings '' page samsara_device_set_attr
refusal no-test-counter '' slab samsara_counter_selftest
refusal no-page-lists '' page samsara_memory_init
refusal no-ept '' page samsara_ept_init
refusal no-ept-serial mode=serial page samsara_ept_map_all 3
no_replay slab samsara_counter_init
sweep slab kvm_vm_ioctl 1 1 2 3 4 5 6 7 8 9
sweep slab kvm_device_ioctl 1 1 2 3 5 7 11 13 17 19 23 29
sweep page kvm_device_ioctl $ALL 1 3 10 30 100 300 1000
sweep slab kvm_vcpu_ioctl 1 1 2 3 5 7 11 13
sweep page kvm_vcpu_ioctl 1 1 2 3 5 7 11 13 17
exit $((failures > 0))
