# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034,SC2154
# Sourced after expect.sh by the scripts that talk to QEMU's monitor.

# start_qemu NAME OPTION...: in the background, as $pid, with a QMP monitor whose
# output is in $TMP/NAME.qmp
start_qemu()
{
	local name=$1
	shift
	rm -f "$TMP/qmp.in" "$TMP/qmp.out"
	mkfifo "$TMP/qmp.in" "$TMP/qmp.out"
	: > "$TMP/$name.qmp"
	"$QEMU" -chardev pipe,id=qmp,path="$TMP/qmp" -mon chardev=qmp,mode=control "$@" \
		> "$TMP/$name.out" 2> "$TMP/$name.err" < /dev/null &
	pid=$!
	cat "$TMP/qmp.out" > "$TMP/$name.qmp" &
	# for reading, too: nobody waits for a QEMU that has ended
	exec 8<> "$TMP/qmp.in"
	ask '"qmp_capabilities"'
}

ask()	# COMMAND
{
	echo "{\"execute\": $1}" >&8
}

ask_human()	# COMMAND
{
	ask "\"human-monitor-command\", \"arguments\": {\"command-line\": \"$1\"}"
}

record_start()	# FILE [MORE ARGUMENTS]
{
	ask "\"samsara-record-start\", \"arguments\": {\"file\": \"$1\"$2}"
}

commits_of()	# NAME: as its monitor has said last
{
	sed -n 's/.*"commits": \([0-9]*\).*/\1/p' "$TMP/$1.qmp" | tail -n 1
}

# Up to 20 s for a line in what a monitor has said.
wait_for()	# NAME REGEX
{
	local i=0
	while ! grep -Eq -e "$2" "$TMP/$1.qmp"; do
		i=$((i + 1))
		[ $i -lt 200 ] || return 1
		sleep 0.1
	done
}

end_qemu()	# after 20 s at most; sets RC
{
	local watchdog
	{ sleep 20; kill -9 "$pid"; } 2> /dev/null &
	watchdog=$!
	wait "$pid" 2> /dev/null
	RC=$?
	kill $watchdog
}

# stopped NAME REASON FILE: the recording of the QEMU just started ends, and the guest
# with it: a QMP event says so, the registers stay, and the file replays up to there.
stopped()
{
	local event commits
	if ! wait_for "$1" SAMSARA_RECORDING_ENDED; then
		not_ok "$1" 'no event'
		kill -9 "$pid"
		return
	fi
	event=$(grep SAMSARA_RECORDING_ENDED "$TMP/$1.qmp")
	commits=$(echo "$event" | sed -n 's/.*"commits": \([0-9]*\).*/\1/p')
	wait_for "$1" '"event": "STOP"' || not_ok "$1" 'the guest was not paused'
	ask '"query-status"'
	ask_human 'info registers -a'
	sleep 0.5
	ask_human 'info registers -a'
	ask '"quit"'
	end_qemu
	if ! echo "$event" | grep "\"reason\": \"$2\"" | grep -q '"action": "stop"'; then
		not_ok "$1" "$event"
	elif ! grep -q '"status": "io-error"' "$TMP/$1.qmp"; then
		not_ok "$1" 'the state is not io-error'
	elif [ "$(grep -c '[ER]IP=' "$TMP/$1.qmp")" != 2 ] ||
	     [ "$(grep '[ER]IP=' "$TMP/$1.qmp" | sort -u | wc -l)" != 1 ]; then
		not_ok "$1" 'the guest still runs'
	else
		as_far_as_verified "$1" "$3"
		[ "$2" = file ] || [ "${R_COMMITS:-0}" = "$commits" ] ||
			not_ok "$1" "$commits commits in the event, $R_COMMITS replayed"
	fi
}
