# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034,SC2154
# Sourced after lib.sh by the scripts of what must fail, and how.

EXACT=0 SETUP=1 BADFILE=2 CPU=3 DIVERGED=4
failures=0

# The arguments of a script of cases: patterns, as those of the shell's case, for the
# names of the cases that are wanted; all if there is none, those that take long only
# with --full. With --list before them it prints names and does nothing else.
listing='' full='' patterns=''
choose()	# [--list] [--full] [PATTERN]...
{
	[ "${1:-}" != --list ] || { listing=1; shift; }
	[ "${1:-}" != --full ] || { full=1; shift; }
	patterns=$*
}

# wanted_in_full NAME...: as wanted, of cases that take long
wanted_in_full()
{
	[ -n "$full$patterns" ] && wanted "$@"
}

# Is one of these cases to be run now?  They are made together. Each case is named in
# one call at least, or no list has it.
wanted()	# NAME...
{
	local name pattern found=
	set -f
	for name; do
		for pattern in ${patterns:-*}; do
			# shellcheck disable=SC2254 # it is a pattern
			case $name in $pattern) found="$found $name"; break;; esac
		done
	done
	set +f
	[ -n "$found" ] || return 1
	[ -n "$listing" ] || return 0
	# shellcheck disable=SC2086
	printf '%s\n' $found
	return 1
}

seed=$((${SEED:-0} * 7919 + 123456789))

random()	# BELOW: sets R, which depends on the seed
{
	seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
	R=$(((seed >> 8) % $1))
}

ok()
{
	echo "ok $*"
}

not_ok()	# NAME REASON [FILE...]: what to show, default: the run's output
{
	local name=$1
	echo "not ok $1: $2"
	failures=$((failures + 1))
	shift 2
	[ $# -gt 0 ] || set -- "$TMP/$name.err" "$TMP/$name.out"
	tails "$@"
	keep "$name" "$@" "$TMP/$name.smr"
}

# expect NAME STATUS REGEX: of the last run, its errors in $TMP/NAME.err
expect()
{
	local errors
	# what is known of a divergence is many lines
	errors=$(grep -Ev ': (warning|info):|^( |0x)|^(vCPU [0-9]+|devices):$' "$TMP/$1.err" | grep -c .)
	if [ "$RC" != "$2" ]; then
		not_ok "$1" "status $RC, not $2"
	elif ! grep -Eq -e "$3" "$TMP/$1.err"; then
		not_ok "$1" "no error that matches '$3'"
	elif [ "$errors" -gt 2 ]; then
		not_ok "$1" "$errors lines of errors"
	elif tr -d '\n\t' < "$TMP/$1.err" | grep -q '[[:cntrl:]]'; then
		not_ok "$1" 'a control character in an error'
	else
		ok "$1" "status $RC: $(grep -E -e "$3" "$TMP/$1.err" | head -n 1 |
			sed 's/^qemu-system-x86_64: //' | cut -c1-150)"
	fi
}

# reports NAME REGEX...: lines that QEMU has printed where a replay has diverged
reports()
{
	local name=$1
	shift
	for regex; do
		grep -Eq -e "$regex" "$TMP/$name.err" || { not_ok "$name" "no report of '$regex'"; return 1; }
	done
}

# After all that: a case of record-replay.sh in the same host
still_works()	# NAME
{
	wanted "$1-2" || return 0
	"$(dirname "$0")/record-replay.sh" hello 2 --name "$1" || failures=$((failures + 1))
}

# A damaged file: verify says how far it goes, and a replay goes as far.
as_far_as_verified()	# NAME FILE
{
	local json status to
	json=$(samsara verify --json "$2" 2> "$TMP/$1.verify")
	status=$?
	to=$(echo "$json" | sed -n 's/.*"replayable": *\([0-9]*\).*/\1/p')
	case "$json" in *'"initial": false'*|*'"initial":false'*) to=0;; esac
	[ -n "$to" ] && [ $status != 2 ] || to=0
	replay "$TMP/$1" "$2"
	if [ "$to" = 0 ]; then
		expect "$1" $BADFILE .
	elif [ "$RC" != $EXACT ] || [ "$R_COMMITS" != "$to" ]; then
		not_ok "$1" "status $RC, ${R_COMMITS:-no} commits; verify: $status, up to $to"
	else
		ok "$1" "verify $status, replays up to commit $to"
	fi
}
