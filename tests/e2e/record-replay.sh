#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Records a guest and replays the recordings, inside the simulated host:
#
#	record-replay.sh GUEST VCPUS [OPTION]... [RECORD-OPTION]...
#
#	--name NAME       of the case (default GUEST-VCPUS)
#	--recordings N    default 1
#	--replays N       of each recording, default 2; every second one is serial.  In every
#	                  second case parallel ones check what the recording has checked
#	--replay OPTION   of -replay, for all of them; may be repeated; mode=M for that mode
#	--distinct        the recordings' signatures must not all be the same
#	--append STRING   the guest's command line
#	--machine OPTIONS of -M microvm, or another MACHINE[,OPTIONS]
#	--device NAME     of use_device() in lib.sh; may be repeated
#	--reboots         the guest may reboot
#	--debugcon PORT   default 0xe9
#	--phases N        the recordings must have gone serial at least so often
#	--native          also run it unrecorded, and compare the times
#	--least PERCENT   the number in the guest's RESULT must be at least this part of
#	                  the one that it has natively (with --native)
#
# Prints "ok NAME ..." or "not ok NAME ..." and returns 0 or 1. A replay is good if
# QEMU finds every commit's digests equal and says so by its status, the final
# digest of all memory and vCPUs is that of the recording, and the guest printed
# the same, byte by byte. With --replay stop-at=N it ends with commit N, and what the
# guest printed is how the recorded output begins.

. "$(dirname "$0")/lib.sh"

guest=$1 vcpus=$2
shift 2
name=$guest-$vcpus recordings=1 replays=2 debugcon=0xe9
distinct='' append='' with_native='' phases=0 least='' replay_options='' stop_at=''
replay_mode=''
while :; do
	case $1 in
	--name) name=$2-$vcpus; shift 2;;
	--recordings) recordings=$2; shift 2;;
	--replays) replays=$2; shift 2;;
	--replay)
		replay_options="$replay_options $2"
		case $2 in
		stop-at=*) stop_at=${2#*=};;
		mode=*) replay_mode=${2#*=};;
		esac
		shift 2;;
	--append) append=$2; shift 2;;
	--machine) MACHINE=$2; shift 2;;
	--device) DEVICES="$DEVICES $2"; shift 2;;
	--reboots) REBOOTS=1; shift;;
	--debugcon) debugcon=$2; shift 2;;
	--distinct) distinct=1; shift;;
	--phases) phases=$2; shift 2;;
	--native) with_native=1; shift;;
	--least) least=$2; shift 2;;
	*) break;;
	esac
done

not_ok()	# REASON FILE...
{
	local reason=$1
	shift
	echo "not ok $name: $reason"
	tails "$@"
	keep "$name" "$@" "$rec.smr" "$rec.out" "$rec.err"
	exit 1
}

check_recording()
{
	[ "$RC" = $PASS ] || not_ok "recording: QEMU status $RC, not $PASS" "$rec.out" "$rec.err"
	[ -n "$DIGEST" ] || not_ok "recording: no summary" "$rec.err"
	sig=$(result_of "$rec.out")
	[ -n "$sig" ] || not_ok "recording: no RESULT" "$rec.out" "$rec.err"
	[ "$PHASES" -ge "$phases" ] || not_ok "recording: $PHASES serial phases, not $phases"
	samsara verify "$rec.smr" > "$TMP/verify.out" 2>&1 ||
		not_ok "samsara verify: status $?" "$TMP/verify.out"
}

# mode_of NUMBER: of -replay
mode_of()
{
	if [ -n "$replay_mode" ]; then echo "$replay_mode"
	elif [ $(($1 % 2)) = 1 ]; then echo parallel
	else echo serial
	fi
}

check_replay()	# NUMBER
{
	[ "$RC" = 0 ] || not_ok "$(mode_of "$1") replay $1: QEMU status $RC" "$rep.err" "$rep.out"
	[ "$R_COMMITS" = "${stop_at:-$COMMITS}" ] ||
		not_ok "$(mode_of "$1") replay $1: $R_COMMITS commits, not ${stop_at:-$COMMITS}" "$rep.err"
	if [ -n "$stop_at" ]; then
		head -c "$(stat -c %s "$rep.out")" "$rec.out" | cmp -s - "$rep.out" ||
			not_ok "$(mode_of "$1") replay $1: the guest's output differs" "$rec.out" "$rep.out"
		return
	fi
	[ "$R_DIGEST" = "$DIGEST" ] ||
		not_ok "$(mode_of "$1") replay $1: digest $R_DIGEST, recorded $DIGEST" "$rep.err"
	cmp -s "$rec.out" "$rep.out" ||
		not_ok "$(mode_of "$1") replay $1: the guest's output differs" "$rec.out" "$rep.out"
}

machine "$guest" "$vcpus" "$append" "$debugcon"
# A check keeps chunks from running alone, so not always.
echo $((${#name} % 2)) > /sys/kernel/samsara/replay_check
rec=$TMP/$name.rec rep=$TMP/$name.rep sigs='' times='' results='' i=0
if [ -n "$with_native" ]; then
	native "$TMP/$name.native"
	[ "$RC" = $PASS ] || not_ok "native: QEMU status $RC" "$TMP/$name.native.out" "$TMP/$name.native.err"
	native_took=$TOOK
	native_result=$(result_of "$TMP/$name.native.out")
	native_result=${native_result%% *}
fi
while [ $i -lt "$recordings" ]; do
	i=$((i + 1))
	# Memory is compared often: few of these runs are long.
	record "$rec" memdigest=64 "$@"
	check_recording
	took=$TOOK
	sigs="$sigs ${sig%% *}"
	j=0 rep_took=''
	while [ $j -lt "$replays" ]; do
		j=$((j + 1))
		# shellcheck disable=SC2086
		replay "$rep" "$rec.smr" "mode=$(mode_of $j)" $replay_options
		check_replay $j
		rep_took="$rep_took $(mode_of $j)-replay=$(seconds "$TOOK")"
	done
done
differing=$(for s in $sigs; do echo "$s"; done | sort -u | wc -l)
[ -z "$distinct" ] || [ "$differing" -gt 1 ] ||
	not_ok "$recordings recordings, all with the signature $sig"
if [ -n "$least" ]; then
	[ $((100 * ${sig%% *})) -ge $((least * native_result + !native_result)) ] ||
		not_ok "the result is ${sig%% *}, natively $native_result: less than $least %" "$rec.out"
	results=" natively=$native_result"
fi
[ -z "$with_native" ] || times=" native=$(seconds "$native_took") record/native=$(ratio "$took" "$native_took")"
rm -f "$TMP/$name".*
echo "ok $name vcpus=$vcpus recordings=$recordings replays=$((recordings * replays))" \
	"sigs=$differing sig=${sig%% *} commits=$COMMITS chunks=$CHUNKS" \
	"rollbacks=$ROLLBACKS phases=$PHASES log=$LOG stored=$STORED" \
	"record=$(seconds "$took")$rep_took$times$results"
