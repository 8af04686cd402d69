#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Self test of the simulated performance-monitoring unit: counts must be exact
# in user mode and in guests, and overflow interrupts must come when they
# should. The engine's positions depend on all of it. Runs with KVM unpatched.
set -euo pipefail

TOP=$(cd "$(dirname "$0")/../.." && pwd)
T=${BUILD:-$TOP/build}/testbed

# The lateness allowed is in branches, the skid in instructions: with two
# branches in four instructions half as much, and some for the exit path.
run()
{
	local skid=$1 late=$2
	"$TOP/tests/testbed/run" --cpus 2 --modules unpatched --skid "$skid" \
		--add "$T/t_perf" --add "$T/t_kvm" --time-limit 60 \
		-c "s=0; ./t_perf $late || s=1; ./t_kvm $late || s=1; exit \$s" |
		sed "s/^\(ok\|not ok\) \([^:]*\)/\1 \2-skid$skid/"
}

echo "-- interrupts on time"
run 0 0
echo "-- interrupts up to 50 instructions late"
run 50 51
