#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# Linux guests with devices at work, inside the simulated host: two that talk to each
# other and are both recorded, and recordings that are stopped, killed or run out of
# space while a disk is busy.
#
#	devices.sh [--list] [PATTERN]...	see choose() in expect.sh
#
# Prints "ok NAME ..." or "not ok NAME: reason" for each case.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/expect.sh
. "$(dirname "$0")/expect.sh"
# shellcheck source=tests/e2e/qmp.sh
. "$(dirname "$0")/qmp.sh"
# shellcheck source=tests/e2e/pair.sh
. "$(dirname "$0")/pair.sh"
choose "$@"

# PCI without what a PC does before Linux begins
PCI=acpi=on,pcie=on,rtc=on

# replay_of BASE NAME: the recording BASE.smr, whose output is in BASE.out
replay_of()
{
	samsara verify "$1.smr" > "$TMP/verify.out" 2>&1 ||
		{ not_ok "$2" "samsara verify: status $?" "$TMP/verify.out"; return 1; }
	summary "$1"
	replay "$TMP/$2.rep" "$1.smr"
	exact "$1" "$TMP/$2.rep" ||
		{ not_ok "$2" "replay: status $RC" "$TMP/$2.rep.err" "$1.err"; return 1; }
}

# pair NAME MODE: MODE empty: not recorded
pair()
{
	local name=$1 mode=$2 side base took sums=''
	wanted "$name" || return 0
	run_pair "$name" "$mode"
	took=$TOOK
	for side in server client; do
		base=$TMP/$name-$side
		[ "$(cat "$base.rc")" = $PASS ] ||
			{ not_ok "$name" "$side: status $(cat "$base.rc")" "$base.out" "$base.err"; return; }
		sums="$sums $(result_of "$base.out")"
		[ -n "$mode" ] || continue
		replay_of "$base" "$name" || return
		sums="$sums commits=$COMMITS replay=$(seconds "$TOOK")"
	done
	ok "$name took=$(seconds "$took")$sums"
	rm -f "$TMP/$name"*
}

# linux_on MACHINE DEVICES
linux_on()
{
	MACHINE=$1 DEVICES=$2
	machine io 2 '' ''
	unset MACHINE
}

# start_recorded NAME RECORD-OPTIONS: the machine, in the background
start_recorded()
{
	# shellcheck disable=SC2086,SC2116 # one space for each line break
	start_qemu "$1" $ARGS -append "$(echo $APPEND)" -record "$2"
}

# busy_disk NAME RECORD-OPTION...: a recording begins; returns while the disk is busy
busy_disk()
{
	local name=$1 opts=
	shift
	for o; do opts="$opts,$o"; done
	DEVICES=disk-thread
	machine io 2 '' ''
	cp "$GUESTS/disk.img" "$DISK"
	rm -f "$TMP/$name.smr"
	start_recorded "$name" "file=$TMP/$name.smr$opts"
	# the kernel and its initramfs are in the file, too
	while [ "$(stat -c %s "$TMP/$name.smr" 2> /dev/null || echo 0)" -lt 9000000 ]; do
		[ -d /proc/$pid ] || return
		sleep 0.05
	done
}

disk_killed()
{
	wanted disk-killed || return 0
	busy_disk disk-killed
	kill -9 $pid
	wait $pid 2> /dev/null
	as_far_as_verified disk-killed "$TMP/disk-killed.smr"
	[ "${R_COMMITS:-0}" -gt 1000 ] || not_ok disk-killed "only ${R_COMMITS:-0} commits"
}

# The guest goes on unrecorded, and its disk with it.
disk_and_full_file()
{
	wanted disk-max-size || return 0
	busy_disk disk-max-size max-size=12M
	end_qemu
	if [ $RC != $PASS ]; then
		not_ok disk-max-size "status $RC"
	elif ! grep -q 'max-size=12582912 is reached' "$TMP/disk-max-size.err"; then
		not_ok disk-max-size 'the recording did not end'
	elif [ -z "$(result_of "$TMP/disk-max-size.out")" ]; then
		not_ok disk-max-size 'no RESULT'
	else
		as_far_as_verified disk-max-size "$TMP/disk-max-size.smr"
	fi
}

# Paused and continued by the monitor while the disk is busy: still one recording.
disk_stop_and_go()
{
	local i=0
	wanted disk-stop-cont || return 0
	busy_disk disk-stop-cont memdigest=64
	while [ $i -lt 5 ] && [ -d /proc/$pid ]; do
		i=$((i + 1))
		ask '"stop"'
		sleep 0.05
		ask '"cont"'
		sleep 0.1
	done
	end_qemu
	[ $RC = $PASS ] || { not_ok disk-stop-cont "status $RC"; return; }
	replay_of "$TMP/disk-stop-cont" disk-stop-cont || return
	ok "disk-stop-cont $(grep -c '"STOP"' "$TMP/disk-stop-cont.qmp") times, commits=$COMMITS"
}

# bytes_of_image NUMBER FILE: what the recording takes from there
bytes_of_image()
{
	samsara dump "$2" | awk -v image="$1" '
		/dma-ref/ && match($0, / len [0-9]+ image [0-9]+/) {
			split(substr($0, RSTART), word, " ")
			if (word[4] == image)
				sum += word[2]
		}
		END { print sum + 0 }'
}

# What is read from below an overlay is named: a replay needs it, and finds out before it
# begins if it is not what it was; a packed one does not.
disk_by_reference()
{
	local refs initrd base=$TMP/disk-ref images=$TMP/images
	wanted disk-ref disk-ref-elsewhere disk-ref-missing disk-ref-changed disk-ref-packed ||
		return 0
	DISK_OPTIONS=,snapshot=on
	linux_on $PCI disk-pci
	DISK_OPTIONS=
	record "$base" disk=ref memdigest=64
	refs=$(samsara dump "$base.smr" | grep -c 'dma-ref')
	initrd=$(bytes_of_image 1 "$base.smr")
	if [ $RC != $PASS ] || [ -z "$(result_of "$base.out")" ] || [ "$refs" -lt 50 ] ||
	   [ "$initrd" -lt "$(stat -c %s "$GUESTS/io.cpio")" ]; then
		not_ok disk-ref "status $RC, $refs references, $initrd bytes of the initrd"
		return
	fi
	replay_of "$base" disk-ref || return
	ok "disk-ref commits=$COMMITS references=$refs bytes=$(stat -c %s "$base.smr")"
	samsara pack "$base.smr" "$TMP/disk-ref-packed.smr" || not_ok disk-ref-packed "status $?"

	mkdir -p "$images"
	mv "$DISK" "$images/"
	DISK=
	replay "$TMP/disk-ref-missing" "$base.smr"
	expect disk-ref-missing $BADFILE "can't open this disk image, which the recording needs"
	replay "$TMP/disk-ref-elsewhere" "$base.smr" "images=$images"
	expect disk-ref-elsewhere $EXACT 'replay exact'
	# the file system's own pages
	dd if=/dev/zero of="$images/disk.img" bs=4096 count=20 conv=notrunc 2> /dev/null
	replay "$TMP/disk-ref-changed" "$base.smr" "images=$images"
	expect disk-ref-changed $BADFILE 'not the disk image that was recorded: .* differ'
	rm -r "$images"
	replay "$TMP/disk-ref-packed" "$TMP/disk-ref-packed.smr"
	if exact "$base" "$TMP/disk-ref-packed"; then
		ok "disk-ref-packed bytes=$(stat -c %s "$TMP/disk-ref-packed.smr")"
	else
		not_ok disk-ref-packed "replay: status $RC"
	fi
}

# What a replay can tell: the disk as the guest left it, the packets, the console.  Without
# serial phases each note has the right commit (design.rst).
exported()
{
	local base=$TMP/export to=$TMP/exported
	wanted export export-disk export-net export-console || return 0
	linux_on $PCI 'disk-pci net-user port-pci'
	record "$base" memdigest=64 adaptive=0
	if [ $RC != $PASS ] || [ -z "$(result_of "$base.out")" ]; then
		not_ok export "status $RC"
		return
	fi
	rm -rf "$to"
	mkdir "$to"
	# what it began with: the recorded image has been written to
	cp "$GUESTS/disk.img" "$to/disk0.img"
	samsara export "$base.smr" "$to" 2> "$TMP/export.err"
	RC=$?
	if [ $RC = 0 ] && grep -q 'replay exact' "$TMP/export.err" &&
	   ! grep -q warning "$TMP/export.err"; then
		ok "export commits=$COMMITS"
	else
		not_ok export "status $RC"
	fi
	if cmp "$DISK" "$to/disk0.img" > "$TMP/export.cmp" 2>&1; then
		ok "export-disk $(sed -n 's/^samsara: .*disk0.img: //p' "$TMP/export.err")"
	else
		not_ok export-disk "not what the guest left" "$TMP/export.cmp" "$TMP/export.err"
	fi
	# TFTP, as the packets have it; and an echo request of the guest's
	if tr -d '\n' < "$to/net0.pcap" | grep -q "$(sed -n '4990,5000p' "$TMP/file" | tr -d '\n')" &&
	   grep -q 'packets (.*virtio-net-pci' "$TMP/export.err"; then
		ok "export-net $(sed -n 's/^samsara: .*net0.pcap: //p' "$TMP/export.err")"
	else
		not_ok export-net 'the file is not in the packets' "$TMP/export.err"
	fi
	if cmp "$TMP/port" "$to/console0.txt" > "$TMP/export.cmp" 2>&1 &&
	   [ -s "$to/console0.txt" ] && cmp -s "$base.out" "$to/serial.txt"; then
		ok "export-console $(wc -c < "$to/console0.txt") bytes"
	else
		not_ok export-console 'not what the guest wrote' "$TMP/export.cmp" "$TMP/export.err"
	fi
	rm -rf "$to"
}

# Recordings of a Linux that is at work with a disk and a network, whatever it does then.
started_and_stopped()
{
	local n=0 i=0 delay
	wanted on-demand-io on-demand-io-1 on-demand-io-2 on-demand-io-3 || return 0
	linux_on pc 'disk-pci net-user'
	cp "$GUESTS/disk.img" "$DISK"
	start_recorded on-demand-io start=off
	for delay in 0.7 0.4 0.2; do
		n=$((n + 1))
		sleep $delay
		record_start "$TMP/on-demand-io-$n.smr"
		while [ -d /proc/$pid ] && [ "$(grep -c downtime "$TMP/on-demand-io.qmp")" -lt $n ]; do
			sleep 0.05
		done
		sleep 0.3
		ask '"samsara-record-stop"'
	done
	while [ -d /proc/$pid ] && [ $i -lt 200 ]; do
		i=$((i + 1))
		sleep 0.1
	done
	end_qemu
	if [ $RC != $PASS ] || [ -z "$(result_of "$TMP/on-demand-io.out")" ]; then
		not_ok on-demand-io "status $RC"
	else
		ok on-demand-io "$(grep -o '"downtime": [0-9]*' "$TMP/on-demand-io.qmp" | tr '\n' ' ')"
	fi
	for n in 1 2 3; do
		as_far_as_verified on-demand-io-$n "$TMP/on-demand-io-$n.smr"
		[ "${R_COMMITS:-0}" -gt 100 ] || not_ok on-demand-io-$n "only ${R_COMMITS:-0} commits"
	done
}

dump_screen()	# NAME
{
	ask "\"screendump\", \"arguments\": {\"filename\": \"$TMP/$1.ppm\"}"
	ask '"human-monitor-command", "arguments": {"command-line": "info version"}'
	wait_for "$1" '7\.2\.[0-9]*[^,]*"}'
}

# A replay that stops where the guest was paused has the same on its screen.
screens_equal()
{
	local commits lit
	wanted screen || return 0
	linux_on pc 'vga look'
	start_recorded screen "file=$TMP/screen.smr"
	while [ -d /proc/$pid ] && ! grep -q 'io: look' "$TMP/screen.out"; do
		sleep 0.05
	done
	ask '"stop"'
	wait_for screen '"STOP"'
	# What the guest has written last becomes commits when somebody looks.
	dump_screen screen
	ask '"query-samsara"'
	ask '"query-status"'
	wait_for screen '"running": false'
	commits=$(commits_of screen)
	ask '"cont"'
	end_qemu
	[ $RC = $PASS ] || { not_ok screen "status $RC"; return; }
	start_qemu screen-replayed -display none \
		-replay "file=$TMP/screen.smr,stop-at=$commits,at-end=pause"
	wait_for screen-replayed '"STOP"'
	dump_screen screen-replayed
	ask '"quit"'
	end_qemu
	lit=$(tr -d '\000' < "$TMP/screen.ppm" | wc -c)
	if [ $RC != 0 ]; then
		not_ok screen "replay: status $RC" "$TMP/screen-replayed.err"
	elif [ "$lit" -lt 1000 ]; then
		not_ok screen "only $lit bytes that are not black"
	elif ! cmp "$TMP/screen.ppm" "$TMP/screen-replayed.ppm" > "$TMP/screen.cmp" 2>&1; then
		not_ok screen 'another screen' "$TMP/screen.cmp"
	else
		ok "screen at commit $commits: $(head -c 15 "$TMP/screen.ppm" | tr '\n' ' ')"
	fi
}

# The monitor presses a key, then the power button, each when the guest waits for it.
keys_and_button()
{
	local base=$TMP/keys i=0 asked=''
	wanted keys || return 0
	linux_on pc keys
	start_recorded keys "file=$base.smr,memdigest=64"
	while [ -d /proc/$pid ] && [ $i -lt 300 ]; do
		i=$((i + 1))
		case $(grep -c 'io: press' "$base.out")$asked in
		1)
			asked=key
			ask_human 'sendkey x';;
		2key)
			asked=button
			ask '"system_powerdown"';;
		esac
		sleep 0.1
	done
	end_qemu
	if [ $RC != $PASS ] || [ "$(grep -c 'keyboard: key 45 is' "$base.out")" != 2 ] ||
	   ! grep -q 'button: key 116 is 1' "$base.out"; then
		not_ok keys "status $RC" "$base.out" "$base.err"
		return
	fi
	replay_of "$base" keys || return
	ok "keys commits=$COMMITS"
}

pair net-pair parallel
pair net-pair-serial serial
pair net-pair-native ''
started_and_stopped
exported
disk_by_reference
# without files for firmware
NIC=e1000,romfile= MACHINE=$PCI PAIR_APPEND=part=4
pair net-pair-e1000 parallel
unset MACHINE PAIR_APPEND
keys_and_button
screens_equal
disk_killed
disk_and_full_file
disk_stop_and_go
exit $((failures > 0))
