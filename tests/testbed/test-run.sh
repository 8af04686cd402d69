#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Self test of the runner and of the patch application: every way a run can end
# has its own exit status, results come back, runs repeat and can be parallel.
# shellcheck disable=SC2016 # those scripts are for the other machine
set -euo pipefail

TOP=$(cd "$(dirname "$0")/../.." && pwd)
run=$TOP/tests/testbed/run
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0

report() # GOOD NAME TEXT
{
	if [ "$1" = 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2: $3"
		failures=$((failures + 1))
	fi
}

# the run ends with this status and its output matches
expect() # NAME STATUS PATTERN OPTION...
{
	local name=$1 want=$2 pattern=$3 status=0
	shift 3
	"$run" --cpus 1 --mem 256 --modules unpatched --out "$tmp/$name" "$@" \
		> "$tmp/$name.log" 2>&1 || status=$?
	if [ "$status" != "$want" ]; then
		report 1 "testbed-$name" "exit status $status instead of $want"
		tail -n 5 "$tmp/$name.log"
	elif ! grep -aq "$pattern" "$tmp/$name.log"; then
		report 1 "testbed-$name" "no '$pattern' in its output"
	else
		report 0 "testbed-$name"
	fi
}

brought_back() # NAME
{
	local f
	for f in out/f work/half tmp/half dmesg; do
		[ -s "$tmp/$1/$f" ] && continue
		report 1 "testbed-$1-results" "$f did not come back"
		return
	done
	report 0 "testbed-$1-results"
}

expect status 7 'hello' -c 'echo hello; echo file > out/f; exit 7'
report "$(grep -qx file "$tmp/status/out/f"; echo $?)" testbed-results "out/f did not come back"
expect high-status 119 'exit status 119' -c 'exit 250'
# what a limit ends brings all its files back, half-made ones too
left='echo half > half; echo half > /tmp/half; echo file > out/f'
expect time-limit 120 'limit of 3 simulated seconds' --time-limit 3 -c "$left; sleep 100"
brought_back time-limit
expect wall 122 '20 s of real time were over' --wall 20 --time-limit 10000 -c "$left; while :; do :; done"
brought_back wall
# as one that can't be killed: the part of init that does it does not see it
expect unkillable 120 'limit of 3 simulated seconds' --time-limit 3 -c "$left
	mount --bind /dev/null /proc/\$\$/stat; sleep 100"
brought_back unkillable
expect complaint 121 'kernel complained' -c 'echo "<4>WARNING: CPU: 0" > /dev/kmsg'
expect panic 121 'sysrq triggered crash' -c 'echo c > /proc/sysrq-trigger'
# the part of init that watches the time limit dies: only Bochs' limit is left
expect hang 122 'bochs: cpu0 rip=' --time-limit 3 -c '
	for p in /proc/[0-9]*; do
		[ $p = /proc/1 ] || ! grep -q /init $p/cmdline || kill -9 ${p#/proc/}
	done; sleep 1000'
expect usage 123 'must be 1 to 4' --cpus 9 -c true
expect no-modules 0 'none' --no-modules -c '[ -e /dev/kvm ] || echo none'

# two runs at once with the same seed are the same run; another seed is not
race='a=0; (while :; do echo >> /tmp/b; done) & while [ $a -lt 300 ]; do a=$((a + 1)); done
	wc -c < /tmp/b; cat /proc/uptime'
for s in 3 3b 4; do
	"$run" --cpus 2 --seed "${s%b}" -c "$race" > "$tmp/seed-$s" 2>&1 &
done
wait
report "$(cmp -s "$tmp/seed-3" "$tmp/seed-3b"; echo $?)" testbed-same-seed "two runs differ"
report "$(! cmp -s "$tmp/seed-3" "$tmp/seed-4"; echo $?)" testbed-other-seed "the runs are equal"

# apply-series.sh names the patch, the file and the hunk, and changes nothing
mkdir "$tmp/src" "$tmp/p"
printf '%s\n' 1 2 3 4 5 6 7 8 > "$tmp/src/file.c"
printf -- '--- a/file.c\n+++ b/file.c\n@@ -2,3 +2,3 @@\n 2\n-3\n+three\n 4\n' > "$tmp/p/good.patch"
printf -- '--- a/file.c\n+++ b/file.c\n@@ -5,3 +5,3 @@\n 5\n-wrong\n+six\n 7\n' > "$tmp/p/bad.patch"
printf 'good.patch\nbad.patch\n' > "$tmp/p/series"
out=$("$TOP/scripts/apply-series.sh" "$tmp/src" "$tmp/p/series" 2>&1) && status=0 || status=$?
report "$([ "$status" = 1 ] && [[ $out == *bad.patch*file.c*'Hunk #1'* ]]; echo $?)" \
	build-bad-patch "status $status: $out"
report "$([ "$(sed -n 3p "$tmp/src/file.c")" = three ] && [ "$(sed -n 6p "$tmp/src/file.c")" = 6 ]; echo $?)" \
	build-bad-patch-untouched "the file was changed"

exit $((failures > 0))
