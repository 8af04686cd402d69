#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# gdb on replays, inside the simulated host: breakpoints, watchpoints and steps, forwards
# and back, and the replay is exact afterwards.
#
#	gdb.sh [--list] [--full] [PATTERN]...	see choose() in expect.sh
#	gdb.sh --show [PATTERN]...	what gdb was told, and has said, too
#
# Prints "ok NAME ..." or "not ok NAME: reason" for each case.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/expect.sh
. "$(dirname "$0")/expect.sh"
# shellcheck source=tests/e2e/qmp.sh
. "$(dirname "$0")/qmp.sh"
show=
[ "${1:-}" != --show ] || { show=1; shift; }
choose "$@"

# debug NAME FILE GUEST: gdb does what stdin says with the replay; what it prints is in
# $TMP/NAME.gdb.  False: QEMU has not ended with an exact replay
debug()
{
	local name=$1
	{
		printf '%s\n' 'set pagination off' 'set confirm off' 'set width 0' \
			'set remotetimeout 60' "target remote $TMP/gdb.socket"
		[ -z "$show" ] || echo 'set trace-commands on'
		cat
	} > "$TMP/$name.commands"
	start_qemu "$name" -S -display none -replay "file=$2" \
		-chardev "socket,id=gdb,path=$TMP/gdb.socket,server=on,wait=off" -gdb chardev:gdb
	wait_for "$name" '"return"' || return 1
	timeout $((3 * LIMIT)) /work/gdb/gdb -nx -batch -x "$TMP/$name.commands" "/work/symbols/$3" \
		> "$TMP/$name.gdb" 2>&1 || { WHY="gdb: status $?"; return 1; }
	[ -z "$show" ] || grep -Ev 'host encoding|file a bug|^$' "$TMP/$name.gdb"
	ask '"quit"'
	end_qemu
	grep -q 'replay exact' "$TMP/$name.err" || { WHY="status $RC"; return 1; }
}

# says NAME REGEX...: lines that match come in this order in what gdb has said
says()
{
	local name=$1 from=1 at
	shift
	for regex; do
		at=$(tail -n +$from "$TMP/$name.gdb" | grep -nEm 1 -e "$regex") ||
			{ WHY="no $regex from line $from"; return 1; }
		from=$((from + ${at%%:*}))
	done
}

# record_until NAME WORD: of the machine that machine() described; its guest has to say so
record_until()
{
	local name=$1 base=$TMP/$1 i
	for i in 1 2 3 4 5; do
		record "$base" "seed=$i"
		[ "$RC" = $PASS ] || { not_ok "$name" "status $RC"; return 1; }
		! grep -q "$2" "$base.out" || return 0
	done
	not_ok "$name" "no $2" "$base.out"
	return 1
}

finish()	# NAME: by what the last command says
{
	if [ $? = 0 ]; then
		ok "$1" "$(grep -c . "$TMP/$1.gdb") lines"
	else
		[ ! -d "/proc/$pid" ] || kill -9 "$pid"
		not_ok "$1" "$WHY" "$TMP/$1.gdb" "$TMP/$1.err"
	fi
}

tell()	# TEXT: with --show
{
	[ -z "$show" ] || echo "$*"
}

# parallel NAME: does the recording replay in parallel, too?
parallel()
{
	replay "$TMP/parallel" "$TMP/$1.smr" mode=parallel
	exact "$TMP/$1" "$TMP/parallel" ||
		{ not_ok "$1" "mode=parallel: status $RC" "$TMP/parallel.err"; return 1; }
	tell "  replayed in parallel: $R_LINE"
}

# The store that gave a seat away, from where that shows
guilty()
{
	wanted gdb-guilty || return 0
	machine overbook 2 'n=20000' 0xe9
	tell '  a guest whose two processors book seats, some of them twice, recorded:'
	record_until gdb-guilty 'booked by' || return
	tell "      guest: $(grep 'booked by' "$TMP/gdb-guilty.out" | head -n 1)"
	parallel gdb-guilty || return
	tell '  the same in gdb, from where it shows back to the store that did it:'
	debug gdb-guilty "$TMP/gdb-guilty.smr" overbook <<- 'EOF' &&
	break overbooked
	continue
	printf "seat %u has %u\n", seat, seat_of[seat]
	printf "is not %u\n", cpu + 1
	set $seat = seat
	watch -l seat_of[seat]
	reverse-continue
	printf "now %u\n", seat_of[$seat]
	info threads
	backtrace
	stepi
	printf "after the store %u\n", seat_of[$seat]
	reverse-stepi
	printf "before it %u\n", seat_of[$seat]
	reverse-continue
	printf "first %u\n", seat_of[$seat]
	delete
	continue
	EOF
		says gdb-guilty 'Breakpoint 1, overbooked' '^seat [0-9]+ has [12]$' '^is not [12]$' \
			'Hardware watchpoint 2: -location' '^now [12]$' 'in book ' \
			'^after the store [12]$' '^before it [12]$' \
			'Hardware watchpoint 2: -location' '^first [012]$' 'No more reverse-execution' &&
		thieves
	finish gdb-guilty
}

# Do the two who had the seat differ?
thieves()
{
	local had has
	had=$(sed -n 's/^is not //p' "$TMP/gdb-guilty.gdb")
	has=$(sed -n 's/^seat .* has //p' "$TMP/gdb-guilty.gdb")
	[ "$had" != "$has" ] &&
		grep -qx "now $had" "$TMP/gdb-guilty.gdb" &&
		grep -qx "after the store $has" "$TMP/gdb-guilty.gdb" &&
		grep -qx "before it $had" "$TMP/gdb-guilty.gdb" && return
	WHY="had $had, has $has"
	return 1
}

# A program in Linux dies: from the kernel's message to the instruction, and to the store by
# another thread that was the reason.  debugging.rst tells the same.
crash()
{
	local ip
	wanted gdb-crash || return 0
	machine races 2 'crash=5' ''
	record "$TMP/gdb-crash"
	ip=$(sed -n 's/.* segfault at .* ip \([0-9a-f]*\) .*/\1/p' "$TMP/gdb-crash.out")
	[ -n "$ip" ] || { not_ok gdb-crash "status $RC, no segfault"; return; }
	debug gdb-crash "$TMP/gdb-crash.smr" races <<- EOF &&
	define hookpost-monitor
	maintenance flush register-cache
	end
	monitor seek line:1
	monitor when
	tbreak *0x$ip
	reverse-continue
	backtrace
	print session
	watch -l session
	reverse-continue
	info threads
	backtrace
	delete
	continue
	EOF
		says gdb-crash ' 1 console lines' 'Temporary breakpoint 1, .*request' '^#0 .*request' \
			' = [(]struct session [*][)] 0x0' 'Hardware watchpoint 2: -location session' \
			'^\* 2 ' '^#0 .*log_out' '^#1 .*door' 'No more reverse-execution'
	finish gdb-crash
}

# Commands of the monitor: gdb gets its prompt back when they are done
monitor()
{
	wanted gdb-monitor || return 0
	machine overbook 2 'n=20000' 0xe9
	record_until gdb-monitor 'booked by' || return
	debug gdb-monitor "$TMP/gdb-monitor.smr" overbook <<- 'EOF' &&
	define hookpost-monitor
	maintenance flush register-cache
	end
	monitor seek 0
	monitor when
	break overbooked
	continue
	monitor when
	monitor commits 2
	monitor checkpoint
	monitor seek 330
	monitor checkpoint
	monitor seek 331
	monitor checkpoint
	monitor seek 332
	monitor checkpoint
	monitor seek 50
	monitor when
	monitor checkpoint
	monitor commits
	print/x $rip
	monitor seek line:1
	monitor when
	monitor seek 50
	print/x $rip
	monitor x/2i $pc
	monitor seek nowhere
	monitor commits 1000
	monitor seek 99999999
	delete
	continue
	EOF
		says gdb-monitor 'position: commit 0 of' '^\* vCPU 0 at 0x[0-9a-f]*, after its commit 0' \
			'Breakpoint 1, overbooked' '^position: commit [0-9]+ of [0-9]+ [(].*, 0.* s, ' \
			'^\* vCPU [01] at 0x[0-9a-f]+, in commit [0-9]+: [0-9]+[+][0-9]+[+][0-9]+@0x' \
			'^vCPU 0:' 'chunk, ended' '^  next:' '^vCPU 1:' '^devices:' 'in the middle of something' \
			'^at commit 33[0-2]' 'position: commit 50 of' 'after its commit' '^vCPU 0:' ' = 0x' \
			' 1 console lines' ' = 0x' '^0x[0-9a-f]+: .* [a-z]{2,}' 'nowhere: neither a commit' '1 to 64 commits' \
			'ends at its last commit' 'No more reverse-execution' &&
		[ "$(grep '^\$[12] = ' "$TMP/gdb-monitor.gdb" | sed 's/.* = //' | sort -u | wc -l)" = 1 ]
	finish gdb-monitor
}

# From the middle of a commit away, and to the same instruction again
places()
{
	wanted gdb-places || return 0
	machine overbook 2 'n=20000' 0xe9
	record_until gdb-places 'booked by' || return
	debug gdb-places "$TMP/gdb-places.smr" overbook <<- EOF &&
	define hookpost-monitor
	maintenance flush register-cache
	end
	break overbooked
	continue
	stepi 3
	printf "here %d %lx %lx\n", \$_thread, \$rip, \$rsp
	pipe monitor when | sed -n 's/.*in commit .*: /monitor seek /p' > $TMP/place.gdb
	monitor seek 50
	source $TMP/place.gdb
	printf "here %d %lx %lx\n", \$_thread, \$rip, \$rsp
	reverse-stepi
	stepi
	printf "here %d %lx %lx\n", \$_thread, \$rip, \$rsp
	delete
	continue
	EOF
		says gdb-places 'Breakpoint 1, overbooked' '^here' '^here' '^here' 'No more reverse-execution' &&
		[ "$(grep '^here' "$TMP/gdb-places.gdb" | sort -u | wc -l)" = 1 ]
	finish gdb-places
}

# steps COUNT: gdb's commands for so many steps forwards, and the same back
steps()
{
	# shellcheck disable=SC2016 # they are gdb's
	local where='printf "at %d %d %lx %lx %lx %lx\n", $n, $_thread, $rip, $rsp, $rcx, $rax'
	cat <<- EOF
	set \$n = 0
	$where
	while \$n < $1
	stepi
	set \$n = \$n + 1
	$where
	end
	while \$n > 0
	reverse-stepi
	set \$n = \$n - 1
	$where
	end
	EOF
}

# same_places NAME COUNT: is each place the same on both ways?
same_places()
{
	local places
	places=$(grep '^at ' "$TMP/$1.gdb" | sort -u | wc -l)
	[ "$(grep -c '^at ' "$TMP/$1.gdb")" = $((2 * $2 + 1)) ] &&
		[ "$places" = $(($2 + 1)) ] && return
	WHY="$places places, not $(($2 + 1))"
	return 1
}

# walk NAME GUEST FUNCTION SKIP COUNT [VCPUS]: steps from where it is called after SKIP times;
# with other than two vCPUs only if there is time
walk()
{
	local name=gdb-walk-$1
	if [ -z "${6:-}" ]; then
		wanted "$name" || return 0
	else
		wanted_in_full "$name" || return 0
	fi
	machine "$2" "${6:-2}" '' 0xe9
	record "$TMP/$name"
	[ "$RC" = $PASS ] || { not_ok "$name" "status $RC"; return; }
	{
		printf '%s\n' "break $3" "ignore 1 $4" continue 'delete'
		steps "$5"
		echo continue
	} > "$TMP/$name.walk"
	debug "$name" "$TMP/$name.smr" "$2" < "$TMP/$name.walk" && same_places "$name" "$5" &&
		says "$name" "$3" 'No more reverse-execution'
	finish "$name"
}

# repeated N COMMAND: gdb's commands to do it so often, and to tell where that was
repeated()
{
	# shellcheck disable=SC2016 # they are gdb's
	printf '%s\n' 'set $n = 0' "while \$n < $1" "$2" \
		'printf "at %d %lx %lx\n", $_thread, $rip, $rsp' \
		"pipe monitor when | sed -n 's/^[*] vCPU/at place/p'" 'set $n = $n + 1' end
}

# More breakpoints than a processor has: the guest stops where it stops with three of
# them, whichever group of points these are in.
many()
{
	local name=gdb-many n
	wanted $name || return 0
	machine ipistorm 2 'n=300' 0xe9
	record "$TMP/$name"
	[ "$RC" = $PASS ] || { not_ok $name "status $RC"; return; }
	for n in few many; do
		{
			[ $n = few ] || printf 'break *%d\n' 1 2
			printf 'break %s\n' on_irq on_nmi on_ack
			[ $n = few ] || printf 'break *%d\n' 3 4
			repeated 12 continue
			repeated 11 reverse-continue
			printf '%s\n' delete continue
		} > "$TMP/$name.$n"
		debug $name "$TMP/$name.smr" ipistorm < "$TMP/$name.$n" || { finish $name; return; }
		grep '^at ' "$TMP/$name.gdb" > "$TMP/$name.$n.stops"
	done
	WHY='other stops'
	# twelve places, and all but the last once more on the way back
	cmp -s "$TMP/$name.few.stops" "$TMP/$name.many.stops" &&
		[ "$(grep -c '^at place' "$TMP/$name.few.stops")" = 23 ] &&
		[ "$(grep '^at place' "$TMP/$name.few.stops" | sort -u | wc -l)" = 12 ]
	finish $name
}

guilty
many
crash
monitor
places
walk ports mmio port_reads 0 8
walk string mmio store_string 1 8
walk fault repmovs page_fault 2 8
walk interrupt ipistorm on_irq 5 8
walk single-steps fault single_step 0 8
walk ports-1 mmio port_reads 0 8 1
walk ports-4 mmio port_reads 0 8 4
walk interrupt-4 ipistorm on_irq 5 8 4
walk fault-4 repmovs page_fault 2 8 4
