#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# The demonstration, inside the simulated host: a Linux guest natively, recorded,
# replayed twice; then the table.
#
#	demo-host.sh linux|io VCPUS

. "$(dirname "$0")/lib.sh"

guest=$1 vcpus=$2
exact=yes

show()	# FILE: what the guest printed
{
	grep -a RESULT "$1" | tr -d '\r' | sed 's/^/      guest: /'
}

broken()
{
	echo "      $1"
	tails "$TMP/$2.err" "$TMP/$2.out"
	keep demo "$TMP"/*.err "$TMP"/*.out "$TMP/rec.smr"
	exit 1
}

what='on a microvm' append=rounds=40
if [ "$guest" = io ]; then
	what='on a PC with a disk and a network' append=
	MACHINE=pc
	DEVICES='disk-pci net-user'
fi
machine "$guest" "$vcpus" "$append" 0xe9
echo "  Linux, $vcpus vCPUs, $what, not recorded ..."
native "$TMP/native"
[ "$RC" = $PASS ] || broken "QEMU: status $RC" native
native_took=$TOOK
show "$TMP/native.out"

echo "  the same, recorded: qemu-system-x86_64 ... -record file=rec.smr"
record "$TMP/rec"
{ [ "$RC" = $PASS ] && [ -n "$DIGEST" ]; } || broken "QEMU: status $RC" rec
record_took=$TOOK
show "$TMP/rec.out"
samsara verify "$TMP/rec.smr" > "$TMP/verify.out" 2>&1 || broken "samsara verify: status $?" rec

for i in 1 2; do
	echo "  replay $i: qemu-system-x86_64 -replay file=rec.smr"
	replay "$TMP/rep" "$TMP/rec.smr"
	show "$TMP/rep.out"
	exact "$TMP/rec" "$TMP/rep" || {
		exact=no
		echo "      QEMU: status $RC"
		tails "$TMP/rep.err"
	}
done

# What its time is, and what QEMU needs before and after it.
row()	# WHAT UP TOOK
{
	printf '  %-16s %18s %18s\n' "$1" "$(seconds "$2") s" "$(seconds $(($3 - $2))) s"
}

native_up=$(up_time "$TMP/native.out") record_up=$(up_time "$TMP/rec.out")
echo
printf '  %-16s %18s %18s\n' "Linux, $vcpus vCPUs" "guest's own time" 'start and end'
row 'not recorded' "$native_up" "$native_took"
row recorded "$record_up" "$record_took"
printf '  %-16s %18s %18s\n' 'recorded / not' "$(ratio "$record_up" "$native_up")" \
	"$(ratio $((record_took - record_up)) $((native_took - native_up)))"
echo
echo "  $CHUNKS chunks, $ROLLBACKS rollbacks, $LOG bytes of log; replays exact: $exact"
[ $exact = yes ] || broken "a replay was not exact" rep
