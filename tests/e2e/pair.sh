# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034,SC2154
# Sourced after lib.sh: two Linux guests that talk to each other over a socket.

# more for their kernels' command lines
PAIR_APPEND=

# one_of_pair SIDE NAME [OPTION]...: runs it in the background; its status is left in a file
one_of_pair()
{
	local side=$1 base=$TMP/$2-$1
	shift 2
	DEVICES=net-$side
	machine io 2 "$PAIR_APPEND" ''
	# shellcheck disable=SC2086,SC2116 # one space for each line break
	(timeout "$LIMIT" "$QEMU" $ARGS -append "$(echo $APPEND)" "$@" \
		> "$base.out" 2> "$base.err" < /dev/null
	 echo $? > "$base.rc") &
}

# run_pair NAME MODE: MODE empty: not recorded. Both sides' recordings, outputs and status
# are left in $TMP/NAME-server.* and $TMP/NAME-client.*; sets TOOK.
run_pair()
{
	local name=$1 mode=$2 side base start
	start=$(now)
	for side in server client; do
		base=$TMP/$name-$side
		rm -f "$base".*
		if [ -n "$mode" ]; then
			one_of_pair $side "$name" -record "file=$base.smr,mode=$mode,memdigest=64"
		else
			one_of_pair $side "$name"
		fi
		# the socket has to be there
		[ $side = client ] || while [ ! -S "$TMP/net" ] && [ ! -f "$base.rc" ]; do sleep 0.1; done
	done
	wait
	TOOK=$(($(now) - start))
	rm -f "$TMP/net"
}
