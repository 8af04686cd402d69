#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs test suites and sums up: check.sh unit|model|lint|testbed|pmu|docs|e2e|full|debug...
#
# A suite is a program that prints one line for each test,
#
#	ok NAME [...]        not ok NAME [...]        skip NAME: reason
#
# and anything else it likes. It exits with status 0 if nothing failed. A suite
# that fails without saying what counts as one failed test. Lines "    again: COMMAND"
# below one that failed say how to run it again; without them it is the whole suite.
#
# SEED=n (default 0) gives the guests other interleavings; SKID=n lets the branch
# counter's interrupt come up to n instructions late.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
set +e

passed=0 failed=0 skipped=0

run()
{
	case $1 in
	unit) "$TOP/tests/unit/run";;
	model) "$TOP/tests/model/run";;
	lint) "$TOP/tests/lint/run";;
	testbed) "$TOP/tests/testbed/test-run.sh";;
	pmu) "$TOP/tests/testbed/test-pmu.sh";;
	docs) "$TOP/tests/docs/run";;
	e2e) "$TOP/tests/e2e/run" --seed "${SEED:-0}" --skid "${SKID:-0}";;
	full) "$TOP/tests/e2e/run" --full --seed "${SEED:-0}" --skid "${SKID:-0}";;
	debug) "$TOP/tests/e2e/debug" --seed "${SEED:-0}";;
	*) echo "unknown suite"; false;;
	esac
}

suite()
{
	local start=$SECONDS
	echo "== $1"
	run "$1" 2>&1
	echo "$?" > "$BUILD/log/check-$1.status"
	echo "$1 took $((SECONDS - start)) s"
}

sum_up()
{
	local log=$BUILD/log/check-$1.log bad
	passed=$((passed + $(grep -c '^ok ' "$log")))
	skipped=$((skipped + $(grep -c '^skip ' "$log")))
	bad=$(grep -c '^not ok ' "$log")
	if [ "$bad" = 0 ] && [ "$(cat "$BUILD/log/check-$1.status")" != 0 ]; then
		echo "not ok $1: exit status $(cat "$BUILD/log/check-$1.status")" | tee -a "$log"
		bad=1
	fi
	failed=$((failed + bad))
}

# What has failed in a suite, and how to run it again
failures()
{
	local again="scripts/check.sh $1"
	[ -z "${SKID:-}" ] || again="SKID=$SKID $again"
	[ -z "${SEED:-}" ] || again="SEED=$SEED $again"
	awk -v suite="$again" '
		function end() { if (failed && !said) print "    again: " suite; failed = said = 0 }
		/^not ok / {
			end()
			failed = !seen[$0]++
			if (failed)
				print "FAILED: " $0
			next
		}
		/^    (again|exactly as here): / { if (failed) print; said = 1; next }
		{ end() }
		END { end() }' "$BUILD/log/check-$1.log"
}

# Two suites at a time, what one prints comes together; docs and e2e do two things at
# a time by themselves.
start=$SECONDS
rm -f "$BUILD"/log/check-*
for s; do
	case $s in
	docs|e2e|full) wait; suite "$s" | tee "$BUILD/log/check-$s.log"; continue;;
	esac
	while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
	{ suite "$s" > "$BUILD/log/check-$s.log"; cat "$BUILD/log/check-$s.log"; } &
done
wait
for s; do sum_up "$s"; done
for s; do failures "$s"; done
echo "check took $((SECONDS - start)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ $((passed + skipped)) -gt 0 ]
