#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Two Linux guests that talk to each other, both recorded, inside the simulated host; then
# each is replayed alone.
#
#	pair.sh [--list] [CASE]...
#
# Prints "ok NAME ..." or "not ok NAME: reason" for each case.

. "$(dirname "$0")/lib.sh"

cases='net-pair net-pair-serial net-pair-native net-pair-e1000'
[ "$1" != --list ] || { for c in $cases; do echo "$c"; done; exit; }
rc=0

not_ok()	# NAME REASON FILE...
{
	echo "not ok $1: $2"
	shift 2
	tails "$@"
	rc=1
}

# guest SIDE NAME [OPTION]...: runs one of them in the background; its status is left in a file
guest()
{
	local side=$1 base=$TMP/$2-$1
	shift 2
	DEVICES=net-$side
	machine io 2 '' ''
	# shellcheck disable=SC2086,SC2116 # one space for each line break
	(timeout "$LIMIT" "$QEMU" $ARGS -append "$(echo $APPEND)" "$@" \
		> "$base.out" 2> "$base.err" < /dev/null
	 echo $? > "$base.rc") &
}

# pair NAME MODE: MODE empty: not recorded
pair()
{
	local name=$1 mode=$2 side base start took='' sums=''
	start=$(now)
	for side in server client; do
		base=$TMP/$name-$side
		rm -f "$base".*
		if [ -n "$mode" ]; then
			guest $side "$name" -record "file=$base.smr,mode=$mode,memdigest=64"
		else
			guest $side "$name"
		fi
		# the socket has to be there
		[ $side = client ] || while [ ! -S "$TMP/net" ] && [ ! -f "$base.rc" ]; do sleep 0.1; done
	done
	wait
	took=$(($(now) - start))
	rm -f "$TMP/net"
	for side in server client; do
		base=$TMP/$name-$side
		[ "$(cat "$base.rc")" = $PASS ] ||
			{ not_ok "$name" "$side: status $(cat "$base.rc")" "$base.out" "$base.err"; return; }
		sums="$sums $(result_of "$base.out")"
		[ -n "$mode" ] || continue
		samsara verify "$base.smr" > "$TMP/verify.out" 2>&1 ||
			{ not_ok "$name" "$side: samsara verify: status $?" "$TMP/verify.out"; return; }
		SUMMARY=$(sed -n 's/^.*samsara: recorded //p' "$base.err")
		COMMITS=$(field 's/^\([0-9]*\) commits.*/\1/p')
		DIGEST=$(field 's/^.*mem_digest=\([0-9a-f]*\).*/\1/p')
		replay "$TMP/$name.rep" "$base.smr"
		exact "$base" "$TMP/$name.rep" ||
			{ not_ok "$name" "$side: replay: status $RC" "$TMP/$name.rep.err" "$base.err"; return; }
		sums="$sums commits=$COMMITS replay=$(seconds $TOOK)"
	done
	echo "ok $name took=$(seconds $took)$sums"
	rm -f "$TMP/$name"*
}

# shellcheck disable=SC2086
[ $# != 0 ] || set -- $cases
for c; do
	case $c in
	net-pair) pair "$c" parallel;;
	net-pair-serial) pair "$c" serial;;
	net-pair-native) pair "$c" '';;
	net-pair-e1000)
		# without files for firmware
		NIC=e1000,romfile=
		MACHINE=acpi=on,pcie=on,rtc=on
		pair "$c" parallel;;
	*) echo "pair.sh: no case $c" >&2; exit 2;;
	esac
done
exit $rc
