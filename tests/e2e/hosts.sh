# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by the scripts that run cases in simulated hosts: what is in a host, which
# results it must give, and how a failure is run again.

# What the hosts have in /work/e2e
make_host_files()
{
	make -s -C "$TOP/tests/e2e" O="$BUILD/e2e" all >&2
	make -s -C "$TOP/tests/selftest" O="$BUILD/e2e" all >&2
	cp "$TOP"/tests/e2e/*.sh "$BUILD/e2e/"
}

# Sets io_guest: options of tests/testbed/run for hosts that run the guest with devices
io_guest_files()
{
	# shellcheck disable=SC2034
	io_guest=(--add "$BUILD/io/io.cpio:/guests/io.cpio"
		--add "$BUILD/io/disk.img:/guests/disk.img"
		--add "$BUILD/io/vmlinux:/guests/io.vmlinux")
}

# Sets gdb: the same for hosts in which gdb runs
gdb_files()
{
	local guest
	# shellcheck disable=SC2034
	gdb=(--add "$BUILD/debian-gdb:gdb"
		--add "$BUILD/guests/races/init.debug:symbols/races")
	# what is called *.elf loses its symbols
	for guest in overbook mmio repmovs ipistorm fault; do
		gdb+=(--add "$BUILD/guests/$guest.elf:symbols/$guest")
	done
}

# cases_in SCRIPT [ARGUMENT]...: the names of those that it would run in a host
cases_in()
{
	local script=$1
	shift
	TMP=$BUILD/list busybox sh "$BUILD/e2e/$script" --list "$@"
}

# check_results HOST LOG WANTED KNOWN: has each case that was wanted a result, and are
# all results those of known cases?  WANTED and KNOWN: names, one in each line. A
# failure may have a name of its own.
check_results()
{
	local names
	names=$(comm -13 <(result_names 'ok|not ok|skip' "$2") <(sort -u <<< "$3") | paste -sd ' ')
	[ -z "$names" ] || echo "not ok host-$1-cases: no result of $names"
	names=$(comm -23 <(result_names 'ok|skip' "$2") <(sort -u <<< "$4") | paste -sd ' ')
	[ -z "$names" ] || echo "not ok host-$1-names: not in its list: $names"
}

result_names()	# RESULTS LOG
{
	sed -nE "s/^($1) ([^: ]+).*/\2/p" "$2" | sort -u
}

quoted()	# WORD...
{
	local line
	printf -v line ' %q' "$@"
	echo "${line# }"
}

# A command as a line for a shell whose directory is that of the sources
command_line()	# WORD...
{
	[ "$BUILD" = "$TOP/build" ] || printf 'BUILD=%q ' "$BUILD"
	quoted "$@"
}

# Prints what it reads and, below each failure, what "COMMAND... NAME" says about
# running it again.
with_again()	# COMMAND...
{
	local line name
	while IFS= read -r line; do
		printf '%s\n' "$line"
		[[ $line = 'not ok '* ]] || continue
		name=${line#not ok }
		"$@" "${name%%[: ]*}" | sed 's/^/    /'
	done
}
