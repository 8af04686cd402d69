#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# What must fail, and how, inside the simulated host: each case has to end with its
# defined exit status and one clear error; afterwards the host still works.
# Leaves a small recording in /work/out/small.smr for the cuts made outside.
#
#	negative.sh [--list] [PATTERN]...	see choose() in expect.sh

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/expect.sh
. "$(dirname "$0")/expect.sh"
# shellcheck source=tests/e2e/qmp.sh
. "$(dirname "$0")/qmp.sh"
choose "$@"

small=$TMP/small.smr

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

# ends NAME STATUS REGEX OPTION...: a run of QEMU with these options
ends()
{
	local name=$1 status=$2 regex=$3
	wanted "$name" || return 0
	shift 3
	run_qemu "$TMP/$name" "$@"
	expect "$name" "$status" "$regex"
}

small_recording()
{
	# any numbers do for a list
	small_size=8192 STORED=1
	if [ -n "$listing" ]; then
		wanted cut-every-byte
		return
	fi
	machine hello 2 n=10 0xe9
	record "$TMP/small"
	if [ "$RC" != $PASS ] || [ -z "$COMMITS" ]; then
		not_ok small "no recording to damage: status $RC"
		exit 1
	fi
	small_size=$(size_of "$small")
	! wanted cut-every-byte || cp "$small" /work/out/small.smr
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
		wanted "cut-$i" || continue
		head -c $len "$small" > "$TMP/cut-$i.smr"
		as_far_as_verified "cut-$i" "$TMP/cut-$i.smr"
	done
}

# In the initial state nothing can be replayed; in the log, what comes before.
flips()
{
	local i at
	for i in 0 1 2 3 4 5; do
		if [ $i -lt 3 ]; then
			random "$small_size"
			at=$R
		else
			random "$STORED"
			at=$((small_size - 1 - R))
		fi
		random 8
		wanted "flip-$i" || continue
		cp "$small" "$TMP/flip-$i.smr"
		flip "$TMP/flip-$i.smr" "$at" "$R"
		as_far_as_verified "flip-$i" "$TMP/flip-$i.smr"
	done
}

# patched NAME OFFSET BYTES REGEX: a file that is no recording for us
patched()
{
	wanted "$1" || return 0
	cp "$small" "$TMP/$1.smr"
	patch "$TMP/$1.smr" "$2" "$3"
	replay "$TMP/$1" "$TMP/$1.smr"
	expect "$1" $BADFILE "$4"
}

headers()
{
	patched magic 0 X 'not a recording'
	patched version 8 '\011' 'version'
	if wanted cpu; then
		# leaf 0 first: its EBX, the vendor's name, is 16 bytes into the entry
		/work/e2e/recedit "$small" "$TMP/cpu.smr" vcpu0/cpuid 16 1
		replay "$TMP/cpu" "$TMP/cpu.smr"
		expect cpu $CPU 'another CPU'
	fi
	if wanted garbage; then
		head -c 20000 /dev/urandom > "$TMP/garbage.smr"
		replay "$TMP/garbage" "$TMP/garbage.smr"
		expect garbage $BADFILE 'not a recording'
	fi
}

# refused PIECE OFFSET: a state that KVM does not take. It is not another CPU's.
refused()
{
	wanted "refused-$1" || return 0
	/work/e2e/recedit "$small" "$TMP/refused-$1.smr" "vcpu0/$1" "$2" 128
	replay "$TMP/refused-$1" "$TMP/refused-$1.smr"
	expect "refused-$1" $BADFILE "can't set $1 of vCPU 0"
}

# altered NAME BLOB PREFIX TEXT STATUS REGEX: a replay with another line in a blob
altered()
{
	wanted "$1" || return 0
	/work/e2e/recedit "$small" "$TMP/$1.smr" --set-line "$2" "$3" "$4"
	replay "$TMP/$1" "$TMP/$1.smr"
	expect "$1" "$5" "$6"
}

# What the file says of the machine is not trusted.
descriptions()
{
	altered cpu-help machine cpu= cpu=help $BADFILE 'cpu-help.smr.*CPU model'
	altered cpu-unknown machine cpu= cpu=Z80 $BADFILE 'Z80 does not exist'
	altered cpu-property machine cpu= cpu=host,realized=on $BADFILE 'realized can.t be'
	altered cpu-level machine cpu= cpu=host,level=4294967295 $BADFILE 'level can.t be'
	altered cpu-value machine cpu= cpu=host,avx=maybe $BADFILE 'cpu-value.smr.*avx'
	altered cpu-hyperv machine cpu= cpu=host,hv-relaxed=on $BADFILE 'cpu-hyperv.smr.*Hyper-V'
	altered cpu-escape machine cpu= "cpu=$(printf 'host\033[2J')" $BADFILE 'control character'
	altered machine-type machine machine= machine=isapc $BADFILE 'type is not one that'
	altered topology machine cores= cores=64 $BADFILE 'topology'
	altered slots memory '' "$(seq 0 32 | sed 's/.*/&0000 0x1000 rw 0x0/; s/^/0x/')" \
		$BADFILE 'more than 32 slots'
	altered no-slots memory '' '' $BADFILE 'no slots'
	altered slot-address memory '' '0x0 0x1000 rw 0x10' $BADFILE 'bad line in the memory map'
	altered slot-nowhere memory '' '0x0 0x1000 rw 0x7fffffff000' $BADFILE 'RAM that the guest has not'
	altered slot-too-long memory '' '0x0 0x40000000 rw 0x0' $BADFILE 'RAM that the guest has not'
	altered ram-overlap ram '' "$(printf '0x0 0x3000 a\n0x2000 0x1000 b')" $BADFILE 'overlap'
	altered ram-odd ram '' '0x0 0x10 a' $BADFILE 'bad line in the list of RAM'
	altered ram-many ram '' "$(seq 0 64 | sed 's/.*/0x&0000 0x1000 r/')" $BADFILE 'more than 64 pieces'
	altered no-ram ram '' '' $BADFILE 'RAM that the guest has not'
	altered much-memory ram '0x0 ' \
		"$(printf '0x0 0x2000000 pc.ram\n0x100000000000 0x8000000000 more')" \
		$SETUP '512 GiB.*max-memory'
	altered consoles consoles '' 'serial 0x10000' $BADFILE 'consoles.smr.*list of consoles'
	altered msrs vcpu0/msrs '' odd $BADFILE 'msrs of a vCPU has the wrong size'
	altered cpuid-list vcpu0/cpuid '' odd $BADFILE 'cpuid of a vCPU has the wrong size'
	# unknown flags
	refused events 21
	refused debugregs 49
	altered cpuid-tsc machine cpuid-tsc-khz= cpuid-tsc-khz=4294967295 $CPU 'another CPU model'
	altered no-cpuid-tsc machine cpuid-tsc-khz= cpuid-tsc-khz=0 $CPU 'another CPU model'
	altered stepping machine host-stepping= host-stepping=99 $EXACT \
		'warning: .*stepping 0x63, this one has 0x'
	altered core-type machine host-stepping= host-core-type=64 $EXACT 'replay exact'
}

files()
{
	machine hello 2 n=10 0xe9
	ends missing $BADFILE 'No such file' -display none -replay file="$TMP/no-such-file"
	ends directory $BADFILE . -display none -replay file="$TMP"
	# shellcheck disable=SC2086
	ends unwritable $SETUP '/proc/no.smr' $ARGS -append n=10 -record file=/proc/no.smr
	[ -n "$listing" ] || echo precious > "$TMP/precious"
	# shellcheck disable=SC2086
	ends overwrite $SETUP 'precious' $ARGS -append n=10 -record file="$TMP/precious"
	[ -n "$listing" ] || [ "$(cat "$TMP/precious")" = precious ] ||
		not_ok overwrite 'the file is gone'
}

# in_words "A B C": A, B or C
in_words()
{
	echo "$1" | sed 's/ \([^ ]*\)$/ or \1/; s/ /, /g; s/, or, / or /'
}

stop_at()
{
	wanted stop-at || return 0
	replay "$TMP/stop-at" "$small" stop-at=$((COMMITS / 2))
	if [ "$RC" = $EXACT ] && [ "$R_COMMITS" = $((COMMITS / 2)) ]; then
		ok stop-at "$R_COMMITS of $COMMITS commits"
	else
		not_ok stop-at "status $RC, ${R_COMMITS:-no} commits, not $((COMMITS / 2))"
	fi
}

# What samsara cut and recover write replays as the recording that it was.
beginnings()
{
	local half=$((COMMITS / 2)) digest
	wanted beginning recovered || return 0
	replay "$TMP/beginning" "$small" stop-at="$half"
	digest=$R_DIGEST
	if samsara cut "$small" "$TMP/beginning.smr" --to "$half" > /dev/null; then
		as_far_as_verified beginning "$TMP/beginning.smr"
		[ "$R_COMMITS $R_DIGEST" = "$half $digest" ] ||
			not_ok beginning "${R_COMMITS:-no} commits, digest $R_DIGEST, not $half, $digest"
	else
		not_ok beginning "samsara cut: status $?"
	fi
	head -c $((small_size - 60)) "$small" > "$TMP/damaged.smr"
	samsara recover "$TMP/damaged.smr" "$TMP/recovered.smr" > /dev/null 2>&1
	if [ $? = 1 ] && [ -f "$TMP/recovered.smr" ]; then
		as_far_as_verified recovered "$TMP/recovered.smr"
	else
		not_ok recovered 'samsara recover left nothing'
	fi
}

record_help()
{
	local mode missing=
	wanted help || return 0
	run_qemu "$TMP/help" -record help
	for mode in $MODES; do
		grep -q "^ *mode=.* $mode:" "$TMP/help.out" || missing="$missing $mode"
	done
	if [ "$RC" = 0 ] && [ -z "$missing" ]; then
		ok help "-record help has all modes"
	else
		not_ok help "status $RC, without mode$missing"
	fi
}

replay_options()
{
	ends with-m $SETUP '-m cannot be given' -display none -m 64 -replay file="$small"
	ends with-serial $SETUP '-serial cannot be given' \
		-display none -serial file:"$TMP/x" -replay file="$small"
	ends with-drive $SETUP '-drive cannot be given' \
		-display none -drive file="$TMP/x" -replay file="$small"
	ends max-memory $SETUP 'more than -replay max-memory=16 MiB' \
		-display none -replay file="$small",max-memory=16M
	ends both $SETUP 'mutually exclusive' \
		-display none -replay file="$small" -record file="$TMP/x.smr"
	ends stop-at-late $SETUP 'last commit' -display none -replay file="$small",stop-at=999999999
	stop_at
	beginnings
}

# shellcheck disable=SC2046,SC2086 # ARGS are words
record_options()
{
	local to=file=$TMP/x.smr
	machine hello 2 n=10 0xe9
	ends refused-device $SETUP "can't be recorded.*remove" \
		$ARGS -device virtio-balloon-device -record "$to"
	MACHINE=acpi=on,pcie=on machine hello 2 n=10 0xe9
	ends refused-pmrdev $SETUP 'nvme.*remove pmrdev=' $ARGS \
		-object memory-backend-ram,id=pm,size=1M \
		-device nvme,serial=1,pmrdev=pm -record "$to"
	machine hello 2 n=10 0xe9
	ends bad-mode $SETUP "-record mode=fast: must be $(in_words "$MODES")" \
		$ARGS -record "$to,mode=fast"
	ends bad-replay-mode $SETUP "-replay mode=fast: must be serial or parallel" \
		-display none -replay "$to,mode=fast"
	ends refused-setting $SETUP '-record chunk=1: must be 256 to 4294967296' \
		$ARGS -record "$to,chunk=1"
	ends refused-property $SETUP 'chunk=1: must be 256 to 4294967296' \
		$(echo "$ARGS" | sed 's/-accel kvm/&,record-chunk=1/')
	ends pmu $PASS 'warning: .*pmu can.t be recorded' \
		$ARGS -append n=10 -cpu host,pmu=on -record "$to"
	ends refused-cpu $SETUP 'property level can.t be recorded' \
		$ARGS -cpu host,level=13 -record "$to"
	record_help
	ends refused-machine $SETUP 'type pc-i440fx-7.1 can.t be recorded: use -M pc, -M q35 or' \
		-M pc-i440fx-7.1 -accel kvm -nodefaults -display none -record "$to"
	ends refused-vmport $SETUP 'VMware.s port, .* use vmport=off' \
		-M pc,vmport=on -vga none -display none -record "$to"
}

# A file system without room for the initial state, and one with too little for
# the log: that guest goes on unrecorded, and what was written replays.
full_disk()
{
	local disk=$TMP/disk
	wanted full-at-start full-later full-replay || return 0
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

# What QMP says while a guest is being recorded.
ask_monitor()
{
	ask '"query-samsara"'
	ask '"query-stats", "arguments": {"target": "vcpu"}'
	wait_for killed samsara_chunk_length
	if ! grep '"state": "recording"' "$TMP/killed.qmp" | grep -q '"commits": [1-9]'; then
		not_ok monitor 'query-samsara has no commits'
	elif ! grep -q '"name": "samsara_chunks", "value": [1-9]' "$TMP/killed.qmp" ||
	     ! grep -q '"name": "samsara_chunk_length", "value": [[]' "$TMP/killed.qmp"; then
		not_ok monitor 'query-stats has no chunks'
	else
		ok monitor "$(sed -n 's/.*\("samsara_chunks", "value": [0-9]*\).*/\1/p' "$TMP/killed.qmp")"
	fi
}

# Killed without warning: what was durable replays, and the host is clean.
killed()
{
	wanted monitor killed || return 0
	machine racey 2 n=100000000 0xe9
	# shellcheck disable=SC2086
	start_qemu killed $ARGS -append n=100000000 -record file="$TMP/killed.smr",chunk=2000
	sleep 1
	ask_monitor
	kill -9 $pid
	wait $pid 2> /dev/null
	as_far_as_verified killed "$TMP/killed.smr"
	[ "${R_COMMITS:-0}" -gt 10 ] || not_ok killed "only ${R_COMMITS:-0} commits after 1 s"
}

# The recording ends before the guest does, and takes the guest along.
stop_on_reset()
{
	wanted stop-reset || return 0
	REBOOTS=1
	machine racey 2 n=100000000 0xe9
	REBOOTS=
	# shellcheck disable=SC2086
	start_qemu stop-reset $ARGS -append n=100000000 \
		-record file="$TMP/stop-reset.smr",on-error=stop,mode=crew
	sleep 0.5
	ask '"system_reset"'
	stopped stop-reset reset "$TMP/stop-reset.smr"
}

# Several recordings of one guest, by QMP and by people, while it runs.
on_demand()
{
	local n
	wanted on-demand on-demand-1 on-demand-2 on-demand-3 || return 0
	machine racey 2 n=100000000 0xe9
	# shellcheck disable=SC2086
	start_qemu on-demand $ARGS -append n=100000000 -record start=off,chunk=2000
	sleep 0.3
	ask '"samsara-record-stop"'
	record_start /nowhere/at/all.smr
	for n in 1 2; do
		record_start "$TMP/on-demand-$n.smr" "$([ $n = 1 ] || echo ', "mode": "serial"')"
		sleep 0.3
		record_start "$TMP/on-demand-9.smr"
		ask '"samsara-record-stop"'
		sleep 0.2
	done
	ask_human "samsara_record_start $TMP/on-demand-3.smr crew"
	sleep 0.3
	ask_human samsara_record_stop
	ask '"query-status"'
	ask '"quit"'
	end_qemu
	if [ "$RC" != 0 ] || ! grep -q '"status": "running"' "$TMP/on-demand.qmp"; then
		not_ok on-demand "status $RC: $(tail -n 3 "$TMP/on-demand.qmp")"
	elif [ "$(grep -c '"downtime": [1-9]' "$TMP/on-demand.qmp")" != 2 ] ||
	     ! grep -q 'stopped for [1-9][0-9]* ms' "$TMP/on-demand.qmp"; then
		not_ok on-demand 'no downtime' "$TMP/on-demand.qmp"
	elif [ "$(grep -c 'is being recorded to .* already' "$TMP/on-demand.qmp")" != 2 ] ||
	     ! grep -q 'is not being recorded' "$TMP/on-demand.qmp" ||
	     ! grep -q '/nowhere/at/all.smr' "$TMP/on-demand.qmp"; then
		not_ok on-demand 'an error is missing' "$TMP/on-demand.qmp"
	elif [ -f "$TMP/on-demand-9.smr" ]; then
		not_ok on-demand 'a recording that was refused'
	else
		ok on-demand "$(grep -o '"downtime": [0-9]*' "$TMP/on-demand.qmp" | tr '\n' ' ')"
	fi
	for n in 1 2 3; do
		as_far_as_verified on-demand-$n "$TMP/on-demand-$n.smr"
		[ "${R_COMMITS:-0}" -gt 1 ] || not_ok on-demand-$n "only ${R_COMMITS:-0} commits"
	done
}

# hot_chunks FILE: over pages of others, as samsara report has it
hot_chunks()
{
	samsara report --json "$1" | sed -n '/"hot_pages"/,/"total"/s/.*"total": \([0-9]*\).*/\1/p'
}

# What a recording was slow over is in it, unless it is not to be; the replay is the same.
report()
{
	local n
	wanted report || return 0
	machine racey 2 n=20000 0xe9
	record "$TMP/report" adaptive=0,chunk=1000
	n=$(hot_chunks "$TMP/report.smr")
	if [ "$RC" != $PASS ] || [ "${n:-0}" -lt 20 ]; then
		not_ok report "status $RC, ${n:-no} chunks"
		return
	fi
	as_far_as_verified report "$TMP/report.smr"
	record "$TMP/report-0" adaptive=0,report=0
	n=$(hot_chunks "$TMP/report-0.smr")
	if [ "$RC" != $PASS ] || [ "$n" != 0 ]; then
		not_ok report "without: status $RC, ${n:-no} chunks"
	fi
}

# From outside, wherever the guest is: in its firmware, or at work on both vCPUs.
resets()
{
	local states
	wanted resets || return 0
	REBOOTS=1
	machine racey 2 n=100000000 0xe9
	REBOOTS=
	# shellcheck disable=SC2086
	start_qemu resets $ARGS -append n=100000000 -record file="$TMP/resets.smr",chunk=2000
	for s in 0.05 0.5 0.2 0.3; do
		sleep $s
		ask '"system_reset"'
	done
	sleep 0.3
	ask '"quit"'
	end_qemu
	states=$(samsara dump --json "$TMP/resets.smr" | grep -c '"type": "state"')
	if [ "$RC" != 0 ] || [ "$states" != 8 ]; then
		not_ok resets "status $RC, $states states"
		return
	fi
	as_far_as_verified resets "$TMP/resets.smr"
}

stop_on_full_disk()
{
	local disk=$TMP/disk
	wanted stop-file || return 0
	machine racey 2 n=100000000 0xe9
	mkdir -p "$disk"
	mount -t tmpfs -o size=$(((small_size / 4096 + 1) * 4))k small "$disk"
	# shellcheck disable=SC2086
	start_qemu stop-file $ARGS -append n=100000000 \
		-record file="$disk/r.smr",chunk=500,adaptive=0,on-error=stop
	stopped stop-file file "$disk/r.smr"
	umount "$disk"
}

# No file is larger than it may be; what can't be small enough is refused.  With one seed,
# whose digits are in the file.
max_size()
{
	local least=1 i
	wanted max-size-buffers max-size-state max-size-memory max-size max-size-bytes \
		max-size-go || return 0
	machine racey 2 n=100000000 0xe9
	# for the buffers; with what comes before memory; with all of the initial state
	for i in buffers state memory; do
		# shellcheck disable=SC2086
		run_qemu "$TMP/max-size-$i" $ARGS -append n=10 \
			-record file="$TMP/x.smr",ring=256K,seed=1,max-size=$least
		expect "max-size-$i" $SETUP '-record max-size=[0-9]+ is too small.*at least'
		least=$(sed -n 's/.*need at least \([0-9]*\) bytes.*/\1/p' "$TMP/max-size-$i.err")
	done
	least=$((least + 8000))
	# shellcheck disable=SC2086
	start_qemu max-size $ARGS -append n=100000000 -record \
		file="$TMP/max-size.smr",ring=256K,seed=1,chunk=500,adaptive=0,max-size=$least,on-error=stop
	stopped max-size max-size "$TMP/max-size.smr"
	if [ "$(size_of "$TMP/max-size.smr")" -gt $least ]; then
		not_ok max-size-bytes "$(size_of "$TMP/max-size.smr") bytes, not $least"
	elif ! samsara verify "$TMP/max-size.smr" > /dev/null; then
		not_ok max-size-bytes 'the file is not whole'
	else
		ok max-size-bytes "$(size_of "$TMP/max-size.smr") of $least bytes"
	fi
	# shellcheck disable=SC2086
	run_qemu "$TMP/max-size-go" $ARGS -append n=400000 -record \
		file="$TMP/max-size-go.smr",ring=256K,seed=1,chunk=500,adaptive=0,max-size=$least
	expect max-size-go $PASS 'max-size=[0-9]* is reached; the guest goes on'
}

to_gdb()	# PACKET: without its frame
{
	local sum
	sum=$(printf %s "$1" | od -An -v -tu1 | tr -s ' \n' '  ' | sed 's/ $//; s/ /+/g; s/^+//')
	printf '+$%s#%02x' "$1" $(((sum) & 255)) >&9
	sleep 0.1
}

# A debugger looks at a replay and can't change it; neither can the monitor.
debugger()
{
	local refused packets=0
	wanted gdb replay-monitor || return 0
	rm -f "$TMP/gdb.in" "$TMP/gdb.out"
	mkfifo "$TMP/gdb.in" "$TMP/gdb.out"
	start_qemu gdb -S -display none -replay file="$small" \
		-chardev pipe,id=gdb,path="$TMP/gdb" -gdb chardev:gdb
	cat "$TMP/gdb.out" > "$TMP/gdb.packets" &
	exec 9<> "$TMP/gdb.in"
	# what a debugger may do: breakpoints and watchpoints, read memory
	for p in Z0,1000,1 Z1,2000,1 Z2,3001,2a Z0,4000,1 z2,3001,2a m1000,4; do
		to_gdb "$p"
	done
	# a watchpoint on too much, on too little, no point, memory, a register, another way
	for p in Z2,3000,1000 Z2,3000,0 Z7,3000,1 M1000,1:00 P0=0000000000000000 c1000; do
		to_gdb "$p"
		packets=$((packets + 1))
	done
	ask '"system_reset"'
	ask_human 'system_reset'
	ask_human 'nmi'
	ask_human 'info registers'
	wait_for gdb '[ER]IP=' || :
	# lets the replay go on, to its end
	to_gdb D
	end_qemu
	refused=$(grep -o 'E22#' "$TMP/gdb.packets" | wc -l)
	if [ "$RC" != $EXACT ]; then
		not_ok gdb "status $RC"
	elif [ "$refused" != $packets ]; then
		not_ok gdb "$refused of $packets packets refused"
	elif ! grep -Eq '[$][0-9a-f]{8}#' "$TMP/gdb.packets"; then
		not_ok gdb 'memory was not read'
	elif [ "$(grep -c 'gdb: the guest of a replay' "$TMP/gdb.err")" != 1 ]; then
		not_ok gdb 'not one message'
	else
		ok gdb "$refused packets refused"
	fi
	if ! grep -q 'system_reset has been disabled: not while' "$TMP/gdb.qmp" ||
	   [ "$(grep -c 'is refused: not while' "$TMP/gdb.qmp")" != 2 ] ||
	   ! grep -q '[ER]IP=' "$TMP/gdb.qmp"; then
		not_ok replay-monitor "$(cat "$TMP/gdb.qmp")"
	else
		ok replay-monitor 'resets and NMIs are refused'
	fi
}

seeded_fault()
{
	local at
	wanted fault || return 0
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
	{ [ "${at:-0}" -ge 320 ] && [ "$at" -le 340 ]; } ||
		not_ok fault "seeded at commit 320, reported at ${at:-none}"
	fault_report "${at:-0}"
}

# What is said of it besides, and what its commands do
fault_report()	# COMMIT
{
	reports fault '^  vCPU [01] is at 0x[0-9a-f]+' "before commit $1:" '^vCPU 0:' '^vCPU 1:' \
		'^devices:' "^ +$1  (chunk|section)" '^  To see it again:' \
		'^  The next instructions of vCPU [01]:' '^0x[0-9a-f]+: +([0-9a-f]{2} )+ +[a-z]+' || return
	if ! eval "$(grep '^ *samsara dump ' "$TMP/fault.err")" | tail -n 1 | grep -q "^ *$1 "; then
		not_ok fault 'its samsara dump does not end with the commit'
	fi
	replay "$TMP/before" "$TMP/fault.smr" \
		"$(sed -n 's/.*--replay \(stop-at=[0-9]*\),at-end=pause .*/\1/p' "$TMP/fault.err")"
	[ "$R_COMMITS" = $(($1 - 1)) ] || not_ok fault "stops at ${R_COMMITS:-none}, not before $1"
}

reload()	# DIRECTORY [PARAMETER]...
{
	local dir=$1
	shift
	rmmod kvm-intel kvm && insmod "$dir/kvm.ko" && insmod "$dir/kvm-intel.ko" "$@"
}

modules()
{
	wanted skew unpatched || return 0
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
descriptions
files
replay_options
record_options
full_disk
killed
stop_on_reset
report
resets
on_demand
stop_on_full_disk
max_size
debugger
seeded_fault
modules
still_works still-works
exit $((failures > 0))
