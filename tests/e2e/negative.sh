#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# What must fail, and how, inside the simulated host: each case has to end with its
# defined exit status and one clear error; afterwards the host still works.
# Leaves a small recording in /work/out/small.smr for the cuts made outside.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/expect.sh"

small=$TMP/small.smr
seed=$((${SEED:-0} * 7919 + 123456789))

random()	# BELOW: sets R, which depends on the seed
{
	seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
	R=$(((seed >> 8) % $1))
}

size_of()
{
	stat -c %s "$1"
}

# patch FILE OFFSET BYTES: overwrites, BYTES as for printf
patch()
{
	# shellcheck disable=SC2059
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2> /dev/null
}

flip()	# FILE OFFSET BIT
{
	local byte
	byte=$(dd if="$1" bs=1 skip="$2" count=1 2> /dev/null | hexdump -e '1/1 "%u"')
	patch "$1" "$2" "\\$(printf '%03o' $((byte ^ 1 << $3)))"
}

# A damaged file: verify says how far it goes, and a replay goes as far.
as_far_as_verified()	# NAME FILE
{
	local json status to
	json=$(samsara verify --json "$2" 2> "$TMP/$1.verify")
	status=$?
	to=$(echo "$json" | sed -n 's/.*"replayable": *\([0-9]*\).*/\1/p')
	case "$json" in *'"initial": false'*|*'"initial":false'*) to=0;; esac
	[ -n "$to" ] && [ $status != 2 ] || to=0
	replay "$TMP/$1" "$2"
	if [ "$to" = 0 ]; then
		expect "$1" $BADFILE .
	elif [ "$RC" != $EXACT ] || [ "$R_COMMITS" != "$to" ]; then
		not_ok "$1" "status $RC, ${R_COMMITS:-no} commits; verify: $status, up to $to"
	else
		ok "$1" "verify $status, replays up to commit $to"
	fi
}

small_recording()
{
	machine hello 2 n=10 0xe9
	record "$TMP/small"
	if [ "$RC" != $PASS ] || [ -z "$COMMITS" ]; then
		not_ok small "no recording to damage: status $RC"
		exit 1
	fi
	cp "$small" /work/out/small.smr
	small_size=$(size_of "$small")
}

cuts()
{
	local i len
	for i in 0 1 2 3 4 5 6 7; do
		case $i in
		0) len=0;;
		1) len=100;;
		2) len=4096;;
		7) len=$((small_size - 1));;
		*) random $((small_size - 4096)); len=$((4096 + R));;
		esac
		head -c $len "$small" > "$TMP/cut-$i.smr"
		as_far_as_verified "cut-$i" "$TMP/cut-$i.smr"
	done
}

# In the initial state nothing can be replayed; in the log, what comes before.
flips()
{
	local i at
	for i in 0 1 2 3 4 5; do
		cp "$small" "$TMP/flip-$i.smr"
		if [ $i -lt 3 ]; then
			random "$small_size"
			at=$R
		else
			random "$STORED"
			at=$((small_size - 1 - R))
		fi
		random 8
		flip "$TMP/flip-$i.smr" "$at" "$R"
		as_far_as_verified "flip-$i" "$TMP/flip-$i.smr"
	done
}

headers()
{
	cp "$small" "$TMP/magic.smr"
	patch "$TMP/magic.smr" 0 X
	replay "$TMP/magic" "$TMP/magic.smr"
	expect magic $BADFILE 'not a recording'
	cp "$small" "$TMP/version.smr"
	patch "$TMP/version.smr" 8 '\011'
	replay "$TMP/version" "$TMP/version.smr"
	expect version $BADFILE 'version'
	# leaf 0 first: its EBX, the vendor's name, is 16 bytes into the entry
	/work/e2e/recedit "$small" "$TMP/cpu.smr" vcpu0/cpuid 16 1
	replay "$TMP/cpu" "$TMP/cpu.smr"
	expect cpu $CPU 'another CPU'
	head -c 20000 /dev/urandom > "$TMP/garbage.smr"
	replay "$TMP/garbage" "$TMP/garbage.smr"
	expect garbage $BADFILE 'not a recording'
}

files()
{
	replay "$TMP/missing" "$TMP/no-such-file"
	expect missing $BADFILE 'No such file'
	replay "$TMP/directory" "$TMP"
	expect directory $BADFILE .
	machine hello 2 n=10 0xe9
	# shellcheck disable=SC2086
	run_qemu "$TMP/unwritable" $ARGS -append n=10 -record file=/proc/no.smr
	expect unwritable $SETUP '/proc/no.smr'
	echo precious > "$TMP/precious"
	# shellcheck disable=SC2086
	run_qemu "$TMP/overwrite" $ARGS -append n=10 -record file="$TMP/precious"
	expect overwrite $SETUP 'precious'
	[ "$(cat "$TMP/precious")" = precious ] || not_ok overwrite 'the file is gone'
}

options()
{
	run_qemu "$TMP/with-m" -display none -m 64 -replay file="$small"
	expect with-m $SETUP '-m cannot be given'
	run_qemu "$TMP/both" -display none -replay file="$small" -record file="$TMP/x.smr"
	expect both $SETUP 'mutually exclusive'
	run_qemu "$TMP/stop-at-late" -display none -replay file="$small",stop-at=999999999
	expect stop-at-late $SETUP 'last commit'
	replay "$TMP/stop-at" "$small" stop-at=$((COMMITS / 2))
	if [ "$RC" = $EXACT ] && [ "$R_COMMITS" = $((COMMITS / 2)) ]; then
		ok stop-at "$R_COMMITS of $COMMITS commits"
	else
		not_ok stop-at "status $RC, ${R_COMMITS:-no} commits, not $((COMMITS / 2))"
	fi
	machine hello 2 n=10 0xe9
	# shellcheck disable=SC2086
	run_qemu "$TMP/refused-device" $ARGS -device virtio-rng-device -record file="$TMP/x.smr"
	expect refused-device $SETUP "can't be recorded.*remove"
	# shellcheck disable=SC2086
	run_qemu "$TMP/bad-mode" $ARGS -record file="$TMP/x.smr",mode=fast
	expect bad-mode $SETUP 'neither parallel, serial nor crew'
	run_qemu "$TMP/refused-setting" $ARGS -record file="$TMP/x.smr",chunk=1
	expect refused-setting $SETUP 'refuses record-chunk=1'
	run_qemu "$TMP/refused-machine" -M pc -accel kvm -nodefaults -display none \
		-record file="$TMP/x.smr"
	expect refused-machine $SETUP '-M microvm'
}

# A file system without room for the initial state, and one with too little for
# the log: that guest goes on unrecorded, and what was written replays.
full_disk()
{
	local disk=$TMP/disk
	mkdir -p "$disk"
	machine racey 2 n=200000 0xe9
	mount -t tmpfs -o size=16k small "$disk"
	# shellcheck disable=SC2086
	run_qemu "$TMP/full-at-start" $ARGS -append n=200000 -record file="$disk/r.smr"
	expect full-at-start $SETUP 'No space left'
	umount "$disk"
	mount -t tmpfs -o size=$(((small_size / 4096 + 1) * 4))k small "$disk"
	# A serial phase would make the log too short for it.
	echo 0 > /sys/kernel/samsara/adaptive
	# shellcheck disable=SC2086
	run_qemu "$TMP/full-later" $ARGS -append n=400000 -record file="$disk/r.smr",chunk=500
	echo 1 > /sys/kernel/samsara/adaptive
	expect full-later $PASS 'No space left'
	cp "$disk/r.smr" "$TMP/full-later.smr"
	umount "$disk"
	as_far_as_verified full-replay "$TMP/full-later.smr"
}

# What QMP says while a guest is being recorded: $TMP/qmp.out.
ask_monitor()
{
	echo '{"execute": "qmp_capabilities"}
		{"execute": "query-samsara"}
		{"execute": "query-stats", "arguments": {"target": "vcpu"}}' > "$TMP/qmp.in"
	# the greeting, and an answer for each
	timeout 5 head -n 4 "$TMP/qmp.out" > "$TMP/monitor.out"
	if ! grep '"state": "recording"' "$TMP/monitor.out" | grep -q '"commits": [1-9]'; then
		not_ok monitor 'query-samsara has no commits'
	elif ! grep -q '"name": "samsara_chunks", "value": [1-9]' "$TMP/monitor.out" ||
	     ! grep -q '"name": "samsara_chunk_length", "value": [[]' "$TMP/monitor.out"; then
		not_ok monitor 'query-stats has no chunks'
	else
		ok monitor "$(sed -n 's/.*\("samsara_chunks", "value": [0-9]*\).*/\1/p' "$TMP/monitor.out")"
	fi
}

# Killed without warning: what was durable replays, and the host is clean.
killed()
{
	machine racey 2 n=100000000 0xe9
	mkfifo "$TMP/qmp.in" "$TMP/qmp.out"
	# shellcheck disable=SC2086
	"$QEMU" $ARGS -append n=100000000 -record file="$TMP/killed.smr",chunk=2000 \
		-chardev pipe,id=qmp,path="$TMP/qmp" -mon chardev=qmp,mode=control \
		> "$TMP/killed.out" 2> "$TMP/killed.err" < /dev/null &
	pid=$!
	sleep 1
	ask_monitor
	kill -9 $pid
	wait $pid 2> /dev/null
	as_far_as_verified killed "$TMP/killed.smr"
	[ "${R_COMMITS:-0}" -gt 10 ] || not_ok killed "only ${R_COMMITS:-0} commits after 1 s"
}

seeded_fault()
{
	local at
	# late enough that the inputs are TSC values, all of which count
	machine tsc 2 n=400 0xe9
	record "$TMP/fault" debug-fault-commit=320
	if [ "$RC" != $PASS ]; then
		not_ok fault "recording: status $RC"
		return
	fi
	replay "$TMP/fault" "$TMP/fault.smr"
	expect fault $DIVERGED 'DIVERGED at commit [0-9]+, vCPU [0-9]+: field [a-z]+'
	at=$(sed -n 's/.*DIVERGED at commit \([0-9]*\).*/\1/p' "$TMP/fault.err")
	[ "${at:-0}" -ge 320 ] && [ "$at" -le 340 ] ||
		not_ok fault "seeded at commit 320, reported at ${at:-none}"
}

reload()	# DIRECTORY [PARAMETER]...
{
	local dir=$1
	shift
	rmmod kvm-intel kvm && insmod "$dir/kvm.ko" && insmod "$dir/kvm-intel.ko" "$@"
}

modules()
{
	machine hello 2 n=10 0xe9
	reload /lib/modules samsara_selftest_skew=1 2> /dev/null
	# shellcheck disable=SC2086
	run_qemu "$TMP/skew" $ARGS -append n=10 -record file="$TMP/x.smr"
	expect skew $SETUP 'refuses to'
	dmesg | tail -n 5 | grep -q 'miscounts conditional branches' ||
		not_ok skew 'the kernel log does not say why'
	if [ -d /work/unpatched ]; then
		reload /work/unpatched
		# shellcheck disable=SC2086
		run_qemu "$TMP/unpatched" $ARGS -append n=10 -record file="$TMP/x.smr"
		expect unpatched $SETUP 'no samsara support'
	else
		echo "skip unpatched: no unpatched modules"
	fi
	reload /lib/modules
}

small_recording
cuts
flips
headers
files
options
full_disk
killed
seeded_fault
modules
if "$(dirname "$0")/record-replay.sh" hello 2 --name still-works; then
	exit $((failures > 0))
fi
exit 1
