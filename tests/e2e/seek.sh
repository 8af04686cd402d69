#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Replays that somebody walks about in by QEMU's monitor, inside the simulated host: at
# a commit, guest memory and the vCPUs' registers are the same whichever way the guest
# came there, and the replay is exact afterwards.
#
#	seek.sh [--list] [--full] [PATTERN]...	see choose() in expect.sh
#
# Prints "ok NAME ..." or "not ok NAME: reason" for each case.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/expect.sh
. "$(dirname "$0")/expect.sh"
# shellcheck source=tests/e2e/qmp.sh
. "$(dirname "$0")/qmp.sh"
choose "$@"

# count NAME WORD: lines with the word in what the monitor has said
count()
{
	grep -c "$2" "$TMP/$1.qmp"
}

# until_more NAME WORD COUNT: up to 40 s for more lines than that
until_more()
{
	local i=0
	while [ "$(count "$1" "$2")" -le "$3" ]; do
		i=$((i + 1))
		[ $i -lt 800 ] && [ -d "/proc/$pid" ] || return 1
		sleep 0.05
	done
}

# seek NAME COMMIT|PLACE|HOW N: true once the guest is there
seek()
{
	local stops how=commit
	[ -z "${3:-}" ] || how=$2
	stops=$(count "$1" '"STOP"')
	case $2 in
	*+*) ask_human "samsara_seek $2";;
	*) ask "\"samsara-seek\", \"arguments\": {\"$how\": ${3:-$2}}";;
	esac
	until_more "$1" '"STOP"' "$stops"
}

# state NAME: sets STATE, a sum of registers and of memory, and AT, the commit
state()
{
	local answers
	rm -f "$TMP/memory"
	answers=$(count "$1" '"return"')
	ask "\"pmemsave\", \"arguments\": {\"val\": 1048576, \"size\": 3145728, \"filename\": \"$TMP/memory\"}"
	ask '"query-samsara"'
	ask_human 'info registers -a'
	until_more "$1" '"return"' $((answers + 2))
	STATE=$(tail -n 1 "$TMP/$1.qmp" | cat - "$TMP/memory" | md5sum | cut -c 1-16)
	AT=$(commits_of "$1")
}

# walk NAME FILE COMMITS TIMES: to random commits of a parallel replay; all that were seen are in
# $TMP/NAME.seen
walk()
{
	local name=$1 file=$2 last=$3 n=0 known
	: > "$TMP/$name.seen"
	start_qemu "$name" -display none -replay "file=$file,at-end=pause"
	while [ "$n" -lt "$4" ]; do
		n=$((n + 1))
		# every third one again
		if [ $((n % 3)) = 0 ]; then
			random "$(wc -l < "$TMP/$name.seen")"
			R=$(sed -n "$((R + 1))s/ .*//p" "$TMP/$name.seen")
		else
			random "$((last - 1))"
			R=$((R + 1))
		fi
		seek "$name" "$R" || { WHY="never at commit $R"; return 1; }
		state "$name"
		[ "$AT" = "$R" ] || { WHY="at commit $AT, not $R"; return 1; }
		known=$(sed -n "s/^$R //p" "$TMP/$name.seen" | head -n 1)
		[ "${known:-$STATE}" = "$STATE" ] || { WHY="another state at commit $R"; return 1; }
		echo "$R $STATE" >> "$TMP/$name.seen"
	done
}

# place NAME: sets PLACE, where the vCPU is whose chunk is open
place()
{
	local answers
	answers=$(count "$1" '"return"')
	ask_human samsara_when
	until_more "$1" '"return"' "$answers"
	PLACE=$(tail -n 1 "$TMP/$1.qmp" | sed -n 's/.*in commit [0-9]*: \([0-9a-fx+@]*\).*/\1/p')
}

# to_place NAME COMMIT BRANCHES: sets PLACE and STATE, the same after a second way there
to_place()
{
	local there
	seek "$1" "$2+$3" || { WHY="never at $2+$3"; return 1; }
	place "$1"
	state "$1"
	there=${PLACE#*+}
	if [ "${PLACE%%+*}" != "$2" ] || [ "${there%%+*}" -lt "$3" ]; then
		WHY="at ${PLACE:-no place}, not $2+$3"
		return 1
	fi
	there="$PLACE $STATE"
	seek "$1" 1 || { WHY="never at commit 1"; return 1; }
	seek "$1" "$PLACE" || { WHY="never at $PLACE"; return 1; }
	place "$1"
	state "$1"
	[ "$PLACE $STATE" = "$there" ] && return
	WHY="at $there, then ${PLACE:-no place} $STATE"
	return 1
}

# no_place NAME COMMIT: it is no chunk, or has not so many branches; the guest is after it
no_place()
{
	seek "$1" "$2+4000000000" || { WHY="never after $2"; return 1; }
	place "$1"
	state "$1"
	[ -z "$PLACE" ] && [ "$AT" = "$2" ] &&
		grep -q "commit $2 has no such place" "$TMP/$1.err" && return
	WHY="at ${PLACE:-commit $AT}, not after $2"
	return 1
}

# places NAME FILE COMMITS TIMES: in random chunks of a parallel replay
places()
{
	local name=$1 n=0 commit branches
	: > "$TMP/$name.seen"
	samsara dump "$2" |
		sed -n 's/^ *\([0-9]*\) vcpu .* chunk .* end async at branches \([0-9]*\) .*/\1 \2/p' > "$TMP/$name.chunks"
	start_qemu "$name" -display none -replay "file=$2,at-end=pause"
	while [ "$n" -lt "$4" ]; do
		n=$((n + 1))
		random "$(wc -l < "$TMP/$name.chunks")"
		commit=$(sed -n "$((R + 1))p" "$TMP/$name.chunks")
		branches=${commit#* }
		commit=${commit% *}
		random $((branches + (branches == 0)))
		to_place "$name" "$commit" "$R" || return
		echo "$PLACE $STATE" >> "$TMP/$name.seen"
	done
	no_place "$name" "$commit"
}

# stops NAME FILE COMMITS TIMES: a parallel replay, stopped at any time, is at a commit
stops()
{
	local name=$1 n=0 stops
	: > "$TMP/$name.seen"
	start_qemu "$name" -S -display none -replay "file=$2,at-end=pause"
	wait_for "$name" '"return"'
	while [ "$n" -lt "$4" ]; do
		n=$((n + 1))
		stops=$(count "$name" '"STOP"')
		ask '"cont"'
		sleep 0.01
		ask '"stop"'
		until_more "$name" '"STOP"' "$stops" || { WHY="stop $n: never"; return 1; }
		state "$name"
		[ "$AT" -lt "$3" ] || { WHY="only $n stops"; [ "$n" -gt 4 ]; return; }
		echo "$AT $STATE" >> "$TMP/$name.seen"
	done
}

# The same places one after the other, in another QEMU: a serial replay.
straight()	# NAME FILE
{
	local name=$1-straight commit known
	start_qemu "$name" -display none -replay "file=$2,at-end=pause,mode=serial"
	sort -nu "$TMP/$1.seen" > "$TMP/$1.sorted"
	while read -r commit known; do
		seek "$name" "$commit" || { WHY="straight: never at commit $commit"; return 1; }
		state "$name"
		[ "$STATE" = "$known" ] || { WHY="straight: another state at commit $commit"; return 1; }
	done < "$TMP/$1.sorted"
}

# end_exactly NAME: from AT to the end
end_exactly()
{
	local stops
	stops=$(count "$1" '"STOP"')
	if [ "$AT" != "$COMMITS" ]; then
		ask '"cont"'
		until_more "$1" '"STOP"' "$stops" || { WHY='no end'; return 1; }
	fi
	ask '"quit"'
	end_qemu
	grep -q 'replay exact' "$TMP/$1.err" || { WHY="status $RC"; return 1; }
}

# walks NAME walk|stops TIMES: of the machine that machine() described
walks()
{
	local name=$1 base=$TMP/$1
	record "$base"
	[ "$RC" = $PASS ] || { not_ok "$name" "status $RC"; return; }
	if "$2" "$name-walk" "$base.smr" "$COMMITS" "$3" && end_exactly "$name-walk" &&
	   straight "$name-walk" "$base.smr" && end_exactly "$name-walk-straight"; then
		ok "$name commits=$COMMITS, $(sort -nu "$base-walk.seen" | wc -l) places"
	else
		[ ! -d "/proc/$pid" ] || kill -9 "$pid"
		not_ok "$name" "$WHY" "$base-walk.err" "$base-walk-straight.err"
	fi
}

seek_racey()
{
	wanted seek-racey || return 0
	machine racey 2 'n=20000' 0xe9
	walks seek-racey walk 24
}

# In one session; then each place once more, on a straight way.
seek_thousand()
{
	wanted_in_full seek-thousand || return 0
	machine racey 4 'n=20000' 0xe9
	walks seek-thousand walk 1000
}

seek_serial_console()
{
	wanted seek-linux || return 0
	machine linux 2 '' ''
	walks seek-linux walk 6
}

seek_places()
{
	wanted seek-places || return 0
	machine racey 2 'n=20000' 0xe9
	walks seek-places places 5
}

seek_stops()
{
	wanted seek-stops || return 0
	machine mmio 4 '' 0xe9
	walks seek-stops stops 8
}

# said NAME FIELD: what query-samsara has said of it last
said()
{
	sed -n "s/.*\"$2\": \([0-9]*\).*/\1/p" "$TMP/$1.qmp" | tail -n 1
}

# at_line NAME LINE: goes there; that many lines are whole, and one commit before are not
at_line()
{
	seek "$1" console-line "$2" || { WHY="never at line $2"; return 1; }
	state "$1"
	[ "$(said "$1" console-lines)" = "$2" ] ||
		{ WHY="$(said "$1" console-lines) lines, not $2"; return 1; }
	LINE_COMMIT=$AT LINE_STATE=$STATE
	seek "$1" $((AT - 1)) || { WHY="never before line $2"; return 1; }
	state "$1"
	[ "$(said "$1" console-lines)" = $(($2 - 1)) ] ||
		{ WHY="$(said "$1" console-lines) lines before line $2"; return 1; }
}

# Lines of the console: looked for, and gone back to.
lines()
{
	local name=$1 second
	at_line "$name" 2 || return
	second="$LINE_COMMIT $LINE_STATE"
	at_line "$name" 1 || return
	FIRST_COMMIT=$LINE_COMMIT
	[ "$LINE_COMMIT" -lt "${second% *}" ] || { WHY='line 1 is not before line 2'; return 1; }
	at_line "$name" 2 || return
	[ "$LINE_COMMIT $LINE_STATE" = "$second" ] ||
		{ WHY="line 2: $second, then $LINE_COMMIT $LINE_STATE"; return 1; }
	seek "$name" console-line 9999 || { WHY='line 9999: no end'; return 1; }
	state "$name"
	[ "$AT" = "$COMMITS" ] || { WHY="line 9999: at commit $AT, not at the end"; return 1; }
	grep -q 'line 9999: the guest prints only' "$TMP/$name.err" ||
		{ WHY='line 9999 is no error'; return 1; }
}

# Half of the recording's time, and the same place by its number
half_time()
{
	local name=$1 there
	HALF=$(($(said "$name" last-time) / 2))
	seek "$name" time $HALF || { WHY="never at $HALF ms"; return 1; }
	state "$name"
	there="$AT $STATE" HALF_COMMIT=$AT
	if [ "$(said "$name" time)" -gt $HALF ] || [ "$AT" -le 1 ] || [ "$AT" -ge "$COMMITS" ]; then
		WHY="commit $AT at $(said "$name" time) ms for $HALF ms"
		return 1
	fi
	seek "$name" 1 || { WHY="never at commit 1"; return 1; }
	seek "$name" "$HALF_COMMIT" || { WHY="never at commit $HALF_COMMIT"; return 1; }
	state "$name"
	[ "$AT $STATE" = "$there" ] || { WHY="at $HALF ms $there, then $AT $STATE"; return 1; }
}

# no_position NAME ARGUMENTS REGEX
no_position()
{
	local errors
	errors=$(count "$1" '"error"')
	ask "\"samsara-seek\", \"arguments\": {$2}"
	if until_more "$1" '"error"' "$errors" && tail -n 1 "$TMP/$1.qmp" | grep -q "$3"; then
		return
	fi
	WHY="{$2}: no error \"$3\""
	return 1
}

no_positions()
{
	no_position "$1" '' 'One of' && no_position "$1" '"commit": 1, "time": 1' 'One of' &&
		no_position "$1" '"time": 99999999' 'ends after [0-9.]* s' &&
		no_position "$1" '"commit": 99999999' "last commit, $COMMITS"
}

# The same by the human monitor
by_hand()
{
	local stops
	stops=$(count "$1" '"STOP"')
	ask_human 'samsara_seek line:2'
	until_more "$1" '"STOP"' "$stops" || { WHY='samsara_seek: never at line 2'; return 1; }
	ask_human 'info samsara'
	wait_for "$1" "position: commit $LINE_COMMIT of $COMMITS .* 2 console lines" ||
		{ WHY='info samsara: not at line 2'; return 1; }
	ask_human 'samsara_seek line2'
	wait_for "$1" 'line2: neither a commit nor' || { WHY='samsara_seek line2: no error'; return 1; }
}

# The replay ends there, which a line is looked for first.
stops_at()	# FILE POSITION COMMITS|REGEX
{
	replay "$TMP/stops" "$1" "stop-at=$2"
	case $3 in
	[0-9]*) [ "$RC" = $EXACT ] && [ "$R_COMMITS" = "$3" ] && return;;
	*) [ "$RC" = $SETUP ] && grep -q "$3" "$TMP/stops.err" && return;;
	esac
	WHY="stop-at=$2: status $RC, ${R_COMMITS:-no} commits; $(tail -n 1 "$TMP/stops.err")"
	return 1
}

# memory_at NAME COMMIT FILE: goes there; some of guest memory goes to the file
memory_at()
{
	local answers
	seek "$1" "$2" || { WHY="never at commit $2"; return 1; }
	answers=$(count "$1" '"return"')
	rm -f "$3"
	ask "\"pmemsave\", \"arguments\": {\"val\": $((AREA << 20)), \"size\": 4194304, \"filename\": \"$3\"}"
	until_more "$1" '"return"' "$answers"
}

# used NAME FILE: what the monitor says of the commit's pages, a line each
used()
{
	local answers
	answers=$(count "$1" '"return"')
	ask_human samsara_pages
	until_more "$1" '"return"' "$answers"
	tail -n 1 "$TMP/$1.qmp" | sed 's/.*"return": "//; s/\\r\\n/\n/g' | grep RAM > "$2"
}

# Pages of the area that the commit has changed, by their RAM addresses.
changed()
{
	cmp -l "$TMP/before" "$TMP/after" | awk -v first=$((AREA << 8)) '
		{ page = int(($1 - 1) / 4096); if (!(page in seen)) printf "0x%06x000\n", first + page; seen[page] }'
}

# A commit's pages are those that it has changed, and what leads there.
pages_of()	# NAME COMMIT
{
	local page linear
	memory_at "$1" $(($2 - 1)) "$TMP/before" || return
	memory_at "$1" "$2" "$TMP/after" || return
	used "$1" "$TMP/used"
	grep -q read "$TMP/used" || { WHY="commit $2 has read nothing"; return 1; }
	for page in $(changed); do
		nr_changed=$((nr_changed + 1))
		grep -q "\(written\|walked \)  RAM $page" "$TMP/used" ||
			{ WHY="commit $2 has not written $page"; return 1; }
		linear=$(echo "${page#0x0}" | sed "s/^$LEADING/$LINEAR/")
		grep -q "RAM $page  .*$linear" "$TMP/used" ||
			{ WHY="commit $2: no address $linear of $page"; return 1; }
	done
}

# seek_pages NAME GUEST ARGUMENTS: of chunks that have ended somewhere
seek_pages()
{
	local name=$1 commit nr_changed=0 WHY=''
	machine "$2" 2 "$3" 0xe9
	record "$TMP/$name"
	samsara dump "$TMP/$name.smr" | sed -n 's/^ *\([0-9]*\) vcpu .* chunk .* end async .*/\1/p' > "$TMP/chunks"
	start_qemu "$name" -S -display none -replay "file=$TMP/$name.smr,at-end=pause"
	ask_human samsara_pages
	wait_for "$name" 'No replay is paused' || WHY='pages before the beginning'
	for _ in 1 2 3 4 5 6; do
		random "$(wc -l < "$TMP/chunks")"
		commit=$(sed -n "$((R + 1))p" "$TMP/chunks")
		pages_of "$name" "$commit" || break
	done
	ask '"quit"'
	end_qemu
	if [ -z "$WHY" ] && [ $nr_changed != 0 ]; then
		ok "$name $nr_changed pages changed"
	else
		not_ok "$name" "${WHY:-only $nr_changed pages changed}" "$TMP/used" "$TMP/$name.qmp"
	fi
}

# Each line with its time and commit: line 2 begins behind line 1.
stamped()	# FILE OUTPUT
{
	local at
	replay "$TMP/stamped" "$1" stamps=1
	at=$(sed -n '2s/^\[ *[0-9]*\.[0-9]* *\([0-9]*\)\] .*/\1/p' "$TMP/stamped.out")
	if [ "${at:-0}" -lt "$FIRST_COMMIT" ] || [ "$at" -gt "$LINE_COMMIT" ]; then
		WHY="line 2 at ${at:-no commit}, not $FIRST_COMMIT to $LINE_COMMIT"
		return 1
	fi
	sed 's/^\[ *[0-9]*\.[0-9]* *[0-9]*\] //' "$TMP/stamped.out" | cmp -s - "$2" && return
	WHY="stamps are not all that is different"
	return 1
}

seek_positions()
{
	local name=seek-positions file=$TMP/seek-positions.smr
	wanted $name || return 0
	machine linux 2 '' ''
	record "$TMP/$name"
	[ "$RC" = $PASS ] || { not_ok $name "status $RC"; return; }
	# -S: the first of them begins the replay
	start_qemu $name -S -display none -replay "file=$file,at-end=pause"
	if wait_for $name '"return"' && lines $name && half_time $name && no_positions $name &&
	   by_hand $name && seek $name 1 && end_exactly $name &&
	   stops_at "$file" line:2 "$LINE_COMMIT" &&
	   stops_at "$file" "time:$((HALF / 1000)).$(printf %03d $((HALF % 1000)))" "$HALF_COMMIT" &&
	   stops_at "$file" line:9999 'prints only' && stops_at "$file" time:9999 'ends after' &&
	   stops_at "$file" 0 'the beginning' && stops_at "$file" line: 'neither a commit' &&
	   stamped "$file" "$TMP/$name.out"; then
		ok $name "line 2 at commit $LINE_COMMIT, half of the time at $HALF_COMMIT of $COMMITS"
	else
		[ ! -d /proc/$pid ] || kill -9 $pid
		not_ok $name "$WHY" "$TMP/$name.qmp" "$TMP/$name.err"
	fi
}

# refusal NAME REGEX: of the last command
refusal()
{
	wait_for "$1" "$2" || { not_ok "$1" "no \"$2\"" "$TMP/$1.qmp" "$TMP/$1.err"; return 1; }
}

# index_refused FILE REGEX
index_refused()
{
	"$QEMU" -display none -replay "file=$TMP/seek-index.smr,index=$TMP/$1" \
		> "$TMP/index.out" 2> "$TMP/index.err" < /dev/null
	RC=$?
	[ $RC = 2 ] && grep -Eq "$2" "$TMP/index.err" && return
	WHY="$1: status $RC, no $2"
	return 1
}

# A recording, a file that is cut, one that was changed
index_hostile()
{
	local size at
	size=$(stat -c %s "$TMP/seek.index")
	index_refused seek-index.smr index || return
	head -c $((size / 2)) "$TMP/seek.index" > "$TMP/cut.index"
	index_refused cut.index 'cut.index' || return
	for at in 3 $((size / 5)) $((size / 2)) $((size * 4 / 5)); do
		cp "$TMP/seek.index" "$TMP/flipped.index"
		printf '\377\000\377\000' | dd of="$TMP/flipped.index" bs=1 seek=$at conv=notrunc 2> /dev/null
		index_refused flipped.index 'flipped.index' || return
	done
}

# A seek by the index is to where the way there leads, too.
index_walk()
{
	local name=$1
	replay "$TMP/seek-indexed" "$TMP/seek-index.smr" "checkpoints=200,save-index=$TMP/seek.index"
	if [ "$RC" != 0 ] || [ ! -s "$TMP/seek.index" ]; then
		WHY="status $RC, no index"
		return 1
	fi
	: > "$TMP/$name.seen"
	start_qemu "$name" -S -display none \
		-replay "file=$2,at-end=pause,index=$TMP/seek.index"
	wait_for "$name" '"return"'
	for R in $(($3 - 10)) $(($3 / 2)) $(($3 / 3)); do
		seek "$name" "$R" || { WHY="never at commit $R"; return 1; }
		state "$name"
		[ "$AT" = "$R" ] || { WHY="at commit $AT, not $R"; return 1; }
		echo "$R $STATE" >> "$TMP/$name.seen"
	done
}

seek_index()
{
	wanted seek-index seek-index-hostile || return 0
	machine mmio 2 '' 0xe9
	walks seek-index index_walk
	[ -s "$TMP/seek.index" ] || return
	if index_hostile; then ok seek-index-hostile
	else not_ok seek-index-hostile "$WHY" "$TMP/index.err"
	fi
}

seek_refused()
{
	local base=$TMP/seek-refused
	wanted seek-refused || return 0
	machine racey 2 'n=2000' 0xe9
	record "$base"
	start_qemu seek-refused -display none -replay "file=$base.smr,at-end=pause"
	wait_for seek-refused '"STOP"'
	ask '"samsara-seek", "arguments": {"commit": 99999999}'
	refusal seek-refused "ends at its last commit, $COMMITS" || return
	# the beginning: nothing has run
	ask '"samsara-seek", "arguments": {"commit": 0}'
	ask '"query-samsara"'
	refusal seek-refused '"commits": 0' || return
	AT=0
	end_exactly seek-refused || { not_ok seek-refused "$WHY"; return; }
	mkdir -p "$TMP/exported"
	start_qemu seek-refused -S -display none -replay "file=$base.smr,export=$TMP/exported"
	ask '"samsara-seek", "arguments": {"commit": 5}'
	refusal seek-refused 'No recording is being replayed|export=' || return
	ask '"quit"'
	end_qemu
	ok seek-refused
}

seek_racey
seek_thousand
seek_serial_console
seek_places
seek_stops
seek_positions
seek_index
AREA=1 LEADING='0*' LINEAR=0x
! wanted seek-pages || seek_pages seek-pages racey n=20000
AREA=56 LEADING='' LINEAR=0xffff8880
! wanted_in_full seek-pages-linux || seek_pages seek-pages-linux linux ''
seek_refused
exit $((failures > 0))
