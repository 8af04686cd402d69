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

# exits_of CYCLES: VM exits of t_kvm if each takes that many more, and its 1/100 s
exits_of()
{
	# shellcheck disable=SC2016 # for the other machine
	"$TOP/tests/testbed/run" --cpus 2 --modules unpatched --exit-cost "$1" \
		--add "$T/t_kvm" --time-limit 60 -c '
		now() { tr -d . < /proc/uptime | cut -d " " -f 1; }
		start=$(now)
		./t_kvm > /dev/null 2>&1
		took=$(($(now) - start))
		exits | tr " " "\n" | awk -F= -v took=$took "/^exit/ { n += \$2 } END { print n, took }"' |
		grep -x '[0-9]* [0-9]*'
}

echo "-- the cost of VM exits"
read -r _ took < <(exits_of 0)
read -r n slow < <(exits_of 100000)
# 100 million cycles a second; some of the guests run side by side, and some share
# their processor with a thread that then gets more time, too
want=$((n / 10)) extra=$((slow - took))
if (( n > 100 && extra >= want * 60 / 100 && extra <= want * 140 / 100 )); then
	echo "ok pmu-exit-cost: $n exits, $extra of $want hundredths of a second"
else
	echo "not ok pmu-exit-cost: $n exits, $extra instead of $want hundredths of a second"
	exit 1
fi
