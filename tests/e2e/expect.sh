# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034,SC2154
# Sourced after lib.sh by the scripts of what must fail, and how.

EXACT=0 SETUP=1 BADFILE=2 CPU=3 DIVERGED=4
failures=0

ok()
{
	echo "ok $*"
}

not_ok()	# NAME REASON
{
	echo "not ok $1: $2"
	failures=$((failures + 1))
	tails "$TMP/$1.err" "$TMP/$1.out"
	keep "$1" "$TMP/$1.err" "$TMP/$1.out" "$TMP/$1.smr"
}

# expect NAME STATUS REGEX: of the last run, its errors in $TMP/NAME.err
expect()
{
	local errors
	errors=$(grep -v -e ': warning:' -e ': info:' "$TMP/$1.err" | grep -c .)
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
