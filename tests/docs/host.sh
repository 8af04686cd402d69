#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Runs blocks of commands from documents, inside the simulated host:
#
#	host.sh DIR
#
# DIR holds the blocks, DIR/list a line "DOCUMENT:LINE STATUS" for each.  Those of one
# document share a shell, as they do with a reader who works through it, and all
# documents a directory with vmlinux, initrd.cpio and races.cpio, and vmlinux-pc, pc.cpio
# and disk.img for a PC.  Prints "ok docs-DOCUMENT:LINE"
# or "not ok ..."; what a block prints is left in /work/out.  After one that fails the
# others of its document are not run.

# shellcheck disable=SC1090
blocks=$1
failed=0
mkdir -p /tmp/docs
cd /tmp/docs || exit
cp /guests/vmlinux /guests/races.cpio .
cp /guests/linux.cpio initrd.cpio
cp /guests/io.vmlinux vmlinux-pc
cp /guests/io.cpio pc.cpio
cp /guests/disk.img .

# There is root only.
sudo()
{
	"$@"
}

# What a document has after a monitor's prompt, typed into that of a guest that runs.
monitor()	# BLOCK
{
	{ sed 's/^(qemu) //' "$1"; echo quit; } |
		qemu-system-x86_64 -M microvm,rtc=on -cpu host -nodefaults -display none \
			-kernel vmlinux -monitor stdio -record file=monitor.smr > monitor.out
	cat monitor.out
	! grep -q 'unknown command' monitor.out
}

block()	# NAME STATUS
{
	current=$1 want=$2
	if grep -q '^(qemu) ' "$blocks/$1"; then
		monitor "$blocks/$1"
	elif [ "$want" = 0 ]; then
		. "$blocks/$1"
	else
		set +e
		. "$blocks/$1"
		got=$?
		set -e
		[ "$got" = "$want" ]
	fi
}

end()
{
	[ -n "$current" ] || return 0
	echo "not ok docs-$current: its commands do not exit with status $want"
	sed 's/^/    /' "$blocks/$current"
	echo '    ----'
	tail -n 15 "/work/out/$current" | cut -c1-200 | sed 's/^/    /'
} >&3

document() (	# NAME:LINE STATUS...
	trap end EXIT
	set -eo pipefail
	while [ $# -gt 0 ]; do
		block "$1" "$2" > "/work/out/$1" 2>&1 < /dev/null
		echo "ok docs-$current" >&3
		current=
		shift 2
	done
)

exec 3>&1
for d in $(sed 's/:.*//' "$blocks/list" | uniq); do
	# Not "||", which would take -e away in there.
	# shellcheck disable=SC2046
	document $(grep "^$d:" "$blocks/list")
	# shellcheck disable=SC2181
	[ $? = 0 ] || failed=1
done
exit $failed
