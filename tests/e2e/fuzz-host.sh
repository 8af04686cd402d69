#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Replays mutants of recordings inside the simulated host:
#
#	fuzz-host.sh COUNT [SEED]
#	fuzz-host.sh --list COUNT [SEED]	only the names of its cases
#
# Each must end within a time limit, or be ended by a signal, with a status that is
# for what is in files: exact, a bad file, another CPU, diverged, or the kernel could
# not go on. The host must be as before: its kernel complains of nothing, nothing
# stays pinned, and a recording can be made and replayed.
# Mutants that fail are left in /work/out/mutants, with what was changed in them.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
listing=

[ "$1" != --list ] || { listing=1; shift; }
count=$1 seed=${2:-0}
if [ -n "$listing" ]; then
	printf '%s\n' "fuzz-$seed" "works-after-fuzz-$seed-2"
	exit
fi
# Good ones take a tenth of that; a mutant may wait for what never comes.
LIMIT=3
bases='' nr_bases=0
bad=0 exact=0 unreadable=0 cpu=0 diverged=0 kernel=0 endless=0

base()	# NAME GUEST APPEND [OPTION]...
{
	local name=$1
	bases="$bases $name" nr_bases=$((nr_bases + 1))
	machine "$2" 2 "$3" 0xe9
	shift 3
	LIMIT=40 record "$TMP/$name" memdigest=64 "$@"
	[ "$RC" = "$PASS" ] && [ -n "$COMMITS" ] && return
	echo "not ok fuzz-$seed: no recording of $name: status $RC"
	tails "$TMP/$name.err"
	exit 1
}

bases_of_all_kinds()
{
	base hello hello n=10
	base mmio mmio n=10 adaptive=0
	base mmio-xapic mmio 'n=10 xapic=1' mode=serial
	base timer timer '' adaptive=0
	base tsc tsc n=100 adaptive=0
	base fault fault '' mode=crew
	base racey racey n=5000 chunk=2000 adaptive=0
	base smc smc '' adaptive=0
}

# failed NUMBER WHY
failed()
{
	bad=$((bad + 1))
	echo "not ok fuzz-$seed-$1: $2"
	tails "$TMP/changes" "$TMP/mutant.err"
	mkdir -p /work/out/mutants
	cp "$TMP/mutant.smr" "/work/out/mutants/$seed-$1.smr"
	cp "$TMP/changes" "/work/out/mutants/$seed-$1.changes"
}

nth_base()	# NUMBER
{
	# shellcheck disable=SC2086
	set -- $(($1 % nr_bases + 1)) $bases
	shift "$1"
	echo "$1"
}

# A CPUID leaf that is wrong is another CPU.
may_be_another_cpu()
{
	grep -q '^blob vcpu[0-9]*/\(cpuid\|msrs\)\|^blob machine' "$TMP/changes"
}

mutant()	# NUMBER
{
	/work/e2e/mutate "$TMP/$(nth_base "$1").smr" "$TMP/mutant.smr" $((seed * 100003 + $1)) \
		> "$TMP/changes" || { failed "$1" 'no mutant'; return; }
	samsara verify "$TMP/mutant.smr" > "$TMP/verify" 2>&1
	[ $? -le 2 ] || failed "$1" "verify: $(tail -n 1 "$TMP/verify")"
	replay "$TMP/mutant" "$TMP/mutant.smr"
	case $RC in
	0) exact=$((exact + 1));;
	2) unreadable=$((unreadable + 1));;
	3) cpu=$((cpu + 1)); may_be_another_cpu || failed "$1" 'status 3';;
	4) diverged=$((diverged + 1));;
	5) kernel=$((kernel + 1));;
	1) if grep -q 'replay interrupted' "$TMP/mutant.err"; then
		endless=$((endless + 1))
	   else
		failed "$1" 'status 1'
	   fi;;
	*) failed "$1" "status $RC";;
	esac
	if dmesg | grep -Eq 'BUG|WARNING|Oops|general protection|possible recursive|INFO: task'; then
		failed "$1" 'the kernel complains'
		exit 1
	fi
}

bases_of_all_kinds
i=0
while [ $i -lt "$count" ]; do
	mutant $i
	i=$((i + 1))
done
pinned=$(pinned_pages)
[ "$pinned" = 0 ] || { echo "not ok fuzz-$seed-pinned: $pinned pages"; bad=$((bad + 1)); }
"$(dirname "$0")/record-replay.sh" mmio 2 --name "works-after-fuzz-$seed" adaptive=0 ||
	bad=$((bad + 1))
outcomes="exact $exact, bad file $unreadable, other CPU $cpu, diverged $diverged, kernel $kernel, no end $endless"
if [ $bad = 0 ]; then
	echo "ok fuzz-$seed $count mutants: $outcomes"
	exit 0
fi
echo "not ok fuzz-$seed: $bad of $count mutants: $outcomes"
exit 1
