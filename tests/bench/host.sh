#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Measures inside the simulated host: host.sh VCPUS MODES GUEST...
#
# MODES: words of "native", a mode of -record, "replay" and "preplay" (of the recording
# before it, serial and parallel),
# "icount" (record and replay of Debian's QEMU without KVM), "walk:MB:N" (workingset
# with so much memory and so many pages in use, recorded in chunks of one length),
# "compare0" and "compare1" (without serial phases; are copies compared?), "again:M" (of
# the Linux guest's programs those whose time is chance, recorded three times in mode M),
# "always" (parallel, without serial phases), "exits:M" (of exits its kinds, in such a mode M).
#
# GUESTs: those of tests/guests, and "user-WAY", threads in user mode that wait for each
# other in that way.
# Prints one line for each, "bench GUEST vcpus=N mode=M NAME=VALUE...", before it one
# for each program that the guest ran, and returns 1 if a run failed, a result was wrong
# or a replay was not exact.

. "${E2E:-/work/e2e}/lib.sh"

vcpus=$1 modes=$2
shift 2
rc=0

failed()	# MODE WHY FILE...
{
	echo "not ok bench-$guest-$vcpus-$1: $2"
	shift 2
	tails "$@"
	keep "bench-$guest-$vcpus" "$@"
	rc=1
}

# Programs whose time depends on where the guest's scheduler happens to put their tasks.
CHANCE=forkexec,hackbench,mutex,threads,redis,sqlite

# The guest's own measures, in host cycles: "NAME CYCLES" for each RESULT line, the
# least if there are several of a name.
cycles()
{
	tr -d '\r' < "$1" | awk '$1 == "RESULT" && sub(/^cycles=/, "", $NF) {
		if (!($2 in least))
			names[++n] = $2
		if (!($2 in least) || $NF < least[$2])
			least[$2] = $NF
	}
	END { for (i = 1; i <= n; i++) print names[i], least[names[i]] }'
}

# Page ownership can be a hundred times slower: its log so far is enough then.
CREW_LIMIT=12
gave_up()	# MODE
{
	[ "$1" = crew ] && [ "$TOOK" -ge $((CREW_LIMIT * 100)) ]
}

measured()	# MODE BASE [NAME=VALUE]...
{
	local mode=$1 base=$2
	shift 2
	if [ "$RC" != $PASS ] && ! gave_up "$mode"; then
		failed "$mode" "QEMU status $RC" "$base.out" "$base.err"
		return
	fi
	cycles "$base.out" | awk -v guest="$guest" -v at="vcpus=$vcpus mode=$mode" -v rest="$*" '
		$1 == guest { own = " cycles=" $2; next }
		{ print "bench", $1, at, "cycles=" $2 }
		END { if (own rest) print "bench", guest, at own, rest }'
}

# Where the time of the last recording went, in host cycles of all its vCPUs.
phases()
{
	awk '/kvm_samsara_totals:/ {
		for (i = 1; i < NF; i++)
			if ($i ~ /^(chunk|spin|lost|page|precommit|wait|commit|sync|section)$/)
				sum[$i] += $(i + 1)
	     }
	     END { for (p in sum) printf " in_%s=%.0f", p, sum[p] }' "$T/trace"
	echo > "$T/trace"
}

# Bytes of the log by what they are for, each compressed alone.
log_bytes()	# FILE
{
	samsara info --json "$1" | awk -F'[:,]' '
		/"order_compressed"/ { printf " order=%.0f", $2 }
		/"input_compressed"/ { printf " input=%.0f", $2 }'
}

# What the simulator has counted since counting(): exits and guest instructions.
counting()
{
	exits | tr ' ' '\n' > "$TMP/counts"
}

counted()
{
	exits | tr ' ' '\n' | awk -F= -v before="$TMP/counts" '
		BEGIN { while ((getline < before) > 0) old[$1] = $2 }
		$2 != old[$1] { printf " %s=%.0f", $1, $2 - old[$1] }'
}

# The QEMU of today: Debian's, with TCG, and one vCPU, since it refuses more.  Instead of
# the guest's own time, which is not real then, the time of the whole run counts.
ICOUNT_LIMIT=60
# Replaying takes as long as recording did; some of it is enough to see that.
ICOUNT_REPLAYED=10
icount()	# record|replay
{
	local args limit=$LIMIT qemu=$QEMU
	args=$(echo "$ARGS" | sed 's/-accel [^ ]*/-accel tcg/; s/-cpu host/-cpu max/')
	QEMU=qemu-debian LIMIT=$ICOUNT_LIMIT
	# shellcheck disable=SC2086
	run_qemu "$TMP/bench.$1" $args -append "$APPEND" \
		-icount "shift=auto,rr=$1,rrfile=$TMP/bench.rr"
	QEMU=$qemu LIMIT=$limit
}

# Keeps vCPU n of the QEMU that is about to start on processor n, so that times do not
# depend on where the scheduler happens to wake them.
pin_vcpus()
{
	local task comm n=0
	while [ "$n" -lt "$vcpus" ]; do
		sleep 0.02
		for task in $(pidof "$QEMU" | sed 's,.*,/proc/&/task/*,'); do
			read -r comm < "$task/comm" || continue
			[ "$comm" = "CPU $n/KVM" ] || continue
			taskset -p "$(printf '%x' $((1 << n)))" "${task##*/}" > /dev/null
			n=$((n + 1))
		done
	done
} 2> /dev/null

pinned()	# COMMAND...
{
	local pid ARGS="$ARGS -name debug-threads=on"
	pin_vcpus &
	pid=$!
	"$@"
	# It still runs if QEMU has never got as far as its vCPUs.
	kill $pid 2> /dev/null
	wait $pid
}

# user_work WAY: what the threads do, see tests/guests/linux/threads.c
user_work()
{
	local work list=
	for work in fft:$1:2 lu:$1 ocean:$1:60 store:$1 pool:$1 mark:$1 pass:$1; do
		list=$list${list:+,}$work
	done
	[ "$1" != futex ] || list=$list,pipe:futex
	echo "$list"
}

with_memory()	# MB
{
	ARGS=$(echo "$ARGS" | sed "s/-m [0-9]*/-m $1/")
}

# programs APPEND: a Linux guest that runs programs of Debian's packages
programs()
{
	# Without a source of entropy programs that ask for some wait for seconds.
	[ "$guest" = threaded ] && DEVICES=rng || DEVICES=
	machine "$guest" "$vcpus" "$1" 0xe9
	[ "$guest" != threaded ] || with_memory 128
}

# recorded_in MODE: an option of -record
recorded_in()
{
	[ "$1" = always ] && echo adaptive=0 || echo "mode=$1"
}

T=/sys/kernel/tracing
# Not with the unpatched modules.
[ ! -d $T/events/kvm_samsara ] || echo 1 > $T/events/kvm_samsara/kvm_samsara_totals/enable

for guest; do
	case $guest in
	user-*) machine threads "$vcpus" "work=$(user_work "${guest#user-}")" 0xe9;;
	programs | threaded) programs "";;
	*) machine "$guest" "$vcpus" "" 0xe9;;
	esac
	for mode in $modes; do
		case $mode in
		native)
			# The best of three: where a guest's scheduler puts its tasks is
			# luck.
			: > "$TMP/bench.all"
			for _ in 1 2 3; do
				counting
				pinned native "$TMP/bench.native"
				[ "$RC" = $PASS ] || break
				cat "$TMP/bench.native.out" >> "$TMP/bench.all"
			done
			more="took=$TOOK$(counted)"
			[ "$RC" != $PASS ] || mv "$TMP/bench.all" "$TMP/bench.native.out"
			measured native "$TMP/bench.native" "$more"
			;;
		icount)
			icount record
			if [ "$RC" != $PASS ]; then
				[ "$TOOK" -ge $((ICOUNT_LIMIT * 100)) ] ||
					failed icount "status $RC" "$TMP/bench.record.err"
				continue
			fi
			echo "bench $guest vcpus=$vcpus mode=icount took=$TOOK" \
				"log=$(stat -c %s "$TMP/bench.rr")" \
				"stored=$(gzip -1 -c "$TMP/bench.rr" | wc -c)"
			[ "$TOOK" -lt $((ICOUNT_REPLAYED * 100)) ] || continue
			icount replay
			if [ "$RC" = $PASS ] && cmp -s "$TMP/bench.record.out" "$TMP/bench.replay.out"; then
				echo "bench $guest vcpus=$vcpus mode=replay took=$TOOK"
			else
				failed icount-replay "status $RC" "$TMP/bench.replay.err"
			fi
			;;
		walk:*)
			pages=${mode##*:} memory=${mode%:*} memory=${memory#*:}
			machine "$guest" "$vcpus" "mem=$memory pages=$pages n=20000000" 0xe9
			with_memory "$memory"
			pinned record "$TMP/bench" adaptive=0 chunk-adaptive=0 chunk=5000
			measured walk "$TMP/bench" "memory=$memory pages=$pages" \
				"chunks=$CHUNKS rollbacks=$ROLLBACKS $(phases)"
			;;
		compare*)
			pinned record "$TMP/bench" adaptive=0 "compare=${mode#compare}"
			measured "$mode" "$TMP/bench" "took=$TOOK" \
				"chunks=$CHUNKS rollbacks=$ROLLBACKS $(phases)"
			;;
		again:*)
			programs "programs=$CHANCE rounds=3"
			pinned record "$TMP/bench" "mode=${mode#again:}"
			measured "${mode#again:}" "$TMP/bench"
			;;
		exits:*)
			case $mode in
			*:native) pinned native "$TMP/bench";;
			*) pinned record "$TMP/bench" "$(recorded_in "${mode#*:}")";;
			esac
			[ "$RC" = $PASS ] || failed "$mode" "QEMU status $RC" "$TMP/bench.err"
			cycles "$TMP/bench.out" |
				sed "s/\(.*\) /bench exits vcpus=$vcpus mode=$mode kind=\1 cycles=/"
			;;
		replay | preplay)
			[ "$mode" = replay ] && how=serial || how=parallel
			counting
			replay "$TMP/bench.replay" "$TMP/bench.smr" "mode=$how"
			more=$(counted)
			if exact "$TMP/bench" "$TMP/bench.replay"; then
				echo "bench $guest vcpus=$vcpus mode=$mode took=$TOOK$more"
			else
				failed "$mode" "status $RC" "$TMP/bench.replay.err"
			fi
			;;
		*)
			limit=$LIMIT append=$APPEND
			[ "$mode" != crew ] || LIMIT=$CREW_LIMIT
			# Each of its accesses is in the way of somebody: 700 times the native time.
			[ "$mode" != always ] || APPEND=$(echo "$APPEND" | sed 's/,mark:[a-z]*//')
			counting
			pinned record "$TMP/bench" "$(recorded_in "$mode")"
			more=$(counted)
			LIMIT=$limit APPEND=$append
			measured "$mode" "$TMP/bench" "took=$TOOK commits=$COMMITS chunks=$CHUNKS" \
				"rollbacks=$ROLLBACKS phases=$PHASES log=$LOG stored=$STORED" \
				"$(phases)$(log_bytes "$TMP/bench.smr")$more"
			;;
		esac
	done
done
exit $rc
