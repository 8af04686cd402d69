#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs test suites and sums up: check.sh unit|model|testbed|pmu|e2e...
#
# A suite is a program that prints one line for each test,
#
#	ok NAME [...]        not ok NAME [...]        skip NAME: reason
#
# and anything else it likes. It exits with status 0 if nothing failed. A suite
# that fails without saying what counts as one failed test.
#
# SEED=n (default 0) gives the guests other interleavings; SKID=n lets the branch
# counter's interrupt come up to n instructions late.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
set +e

passed=0 failed=0 skipped=0

suite()
{
	local name=$1 log=$BUILD/log/check-$1.log status
	shift
	if [ ! -x "$1" ]; then
		echo "skip $name: ${1#"$TOP"/} does not exist"
		skipped=$((skipped + 1))
		return
	fi
	echo "== $name"
	"$@" 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	passed=$((passed + $(grep -c '^ok ' "$log")))
	skipped=$((skipped + $(grep -c '^skip ' "$log")))
	local bad
	bad=$(grep -c '^not ok ' "$log")
	if [ "$bad" = 0 ] && [ "$status" != 0 ]; then
		echo "not ok $name: exit status $status"
		bad=1
	fi
	failed=$((failed + bad))
}

start=$SECONDS
rm -f "$BUILD"/log/check-*.log
for s; do
	case $s in
	unit) suite unit "$TOP/tests/unit/run";;
	model) suite model "$TOP/tests/model/run";;
	testbed) suite testbed "$TOP/tests/testbed/test-run.sh";;
	pmu)  suite pmu "$TOP/tests/testbed/test-pmu.sh";;
	e2e)  suite e2e "$TOP/tests/e2e/run" --seed "${SEED:-0}" --skid "${SKID:-0}";;
	*) die "unknown suite $s";;
	esac
done
grep -h '^not ok ' "$BUILD"/log/check-*.log 2>/dev/null | sed 's/^/FAILED: /' | sort -u
echo "check took $((SECONDS - start)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ $((passed + skipped)) -gt 0 ]
