# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034
# Sourced by the scripts that run inside the simulated host (busybox sh): running
# QEMU natively, recording, replaying, and comparing what came out.

# shellcheck source=tests/e2e/modes.sh
. "${E2E:-$(dirname "$0")}/modes.sh"

QEMU=${QEMU:-qemu-system-x86_64}
GUESTS=${GUESTS:-/guests}
# Simulated seconds for one run of QEMU; a good one takes less than ten.
LIMIT=${LIMIT:-40}
LINUX_LIMIT=${LINUX_LIMIT:-100}
PASS=33				# isa-debug-exit after a guest wrote 0x10
TMP=${TMP:-/tmp/e2e}
DEVICES=
DISK=
DISK_OPTIONS=
REBOOTS=
NIC=virtio-net-device
mkdir -p "$TMP"
# overlays of disks are there
export TMPDIR="$TMP"

now()	# hundredths of a second since boot
{
	read -r up _ < /proc/uptime
	# 1xx - 100: a leading 0 would make it octal
	echo $((${up%.*} * 100 + 1${up#*.} - 100))
}

# seconds HUNDREDTHS
seconds()
{
	echo "$(($1 / 100)).$(printf '%02d' $(($1 % 100)))"
}

# up_time FILE: hundredths of a second that the Linux guest had been up when it was done
up_time()
{
	tr -d '\r' < "$1" | sed -n 's/^UP \([0-9]*\)\.\([0-9][0-9]\) s$/\1\2/p' | sed 's/^0*\(.\)/\1/'
}

# ratio A B: A / B with two digits
ratio()
{
	[ "$2" -gt 0 ] || { echo -; return; }
	seconds $(($1 * 100 / $2))
}

# add_disk DEVICE NAME [OPTIONS]: as QEMU and as the guest call it, and what else it needs
add_disk()
{
	DISK=$TMP/disk.img
	APPEND="$APPEND disk=$2"
	ARGS="$ARGS $3 -drive file=$DISK,if=none,id=disk,format=raw$DISK_OPTIONS
		-device $1,drive=disk"
}

# use_device NAME: adds a device to ARGS, and to APPEND that the guest is to use it
use_device()
{
	local thread="-object iothread,id=thread"
	case $1 in
	disk) add_disk virtio-blk-device vda;;
	disk-thread) add_disk virtio-blk-device,iothread=thread vda "$thread";;
	disk-poll) add_disk virtio-blk-device,iothread=thread vda "$thread,poll-max-ns=10000000";;
	disk-pci) add_disk virtio-blk-pci vda;;
	nvme) add_disk nvme,serial=1 nvme0n1;;
	ahci) add_disk ide-hd,bus=ahci.0 sda "-device ich9-ahci,id=ahci";;
	ide) add_disk ide-hd,bus=ide.0 sda;;
	bios) ARGS="$ARGS -bios $GUESTS/OVMF.fd";;
	flash)
		ARGS="$ARGS -drive if=pflash,format=raw,readonly=on,file=$GUESTS/OVMF_CODE.fd
			-drive if=pflash,format=raw,snapshot=on,file=$GUESTS/OVMF_VARS.fd";;
	vga) ARGS="$ARGS -vga std";;
	look) APPEND="$APPEND look=1";;
	usb) add_disk usb-storage,bus=usb.0 sda "-device qemu-xhci,id=usb";;
	usb2) add_disk usb-storage,bus=usb-bus.0 sda "-usb";;
	keys)
		ARGS="$ARGS -device qemu-xhci -device usb-tablet -device usb-kbd"
		APPEND="$APPEND keys=1";;
	scsi) add_disk scsi-hd,bus=scsi.0 sda "-device virtio-scsi-pci,id=scsi";;
	rng)
		ARGS="$ARGS -object rng-builtin,id=entropy
			-device virtio-rng-device,rng=entropy"
		APPEND="$APPEND rng=3000";;
	port | port-pci)
		local bus=device
		[ "$1" = port ] || bus=pci
		ARGS="$ARGS -device virtio-serial-$bus
			-chardev file,id=port,path=$TMP/port -device virtconsole,chardev=port"
		APPEND="$APPEND port=hvc0";;
	net-user) use_device net-user=virtio-net-pci;;
	net-user=*)
		seq 1 5000 > "$TMP/file"
		ARGS="$ARGS -netdev user,id=net,tftp=$TMP -device ${1#*=},netdev=net"
		APPEND="$APPEND net=10.0.2.15/24 peer=10.0.2.2 fetch=file";;
	net-server)
		ARGS="$ARGS -netdev stream,id=net,server=on,addr.type=unix,addr.path=$TMP/net
			-device $NIC,netdev=net"
		APPEND="$APPEND net=10.0.0.1/24 peer=10.0.0.2 serve=1";;
	net-client)
		ARGS="$ARGS -netdev stream,id=net,server=off,addr.type=unix,addr.path=$TMP/net
			-device $NIC,netdev=net"
		APPEND="$APPEND net=10.0.0.2/24 peer=10.0.0.1";;
	*)
		echo "lib.sh: no device $1" >&2
		exit 2;;
	esac
}

# machine GUEST VCPUS APPEND DEBUGCON: sets ARGS. A guest with an initramfs is Linux;
# stock is Debian's kernel with its default parameters, cloud a disk that boots itself,
# uefi needs a device bios or flash. MACHINE: options of -M microvm, or
# another machine with its options.
# DEVICES: those of use_device(), for the guest io.  REBOOTS: it may reboot.
# DISK_IMAGE: what is on its disk, if not disk.img
machine()
{
	local device
	local machine=${MACHINE:-acpi=off,pic=on,pit=on,rtc=on,isa-serial=on}
	case $machine in pc* | q35*) ;; *) machine=microvm,$machine;; esac
	ARGS="-M $machine -accel kvm,kernel-irqchip=on
		-cpu host -smp $2 -nodefaults -no-user-config -display none
		-device isa-debug-exit,iobase=0xf4,iosize=4
		-chardev stdio,id=console,signal=off"
	[ -n "$REBOOTS" ] || ARGS="$ARGS -no-reboot"
	if [ "$1" = stock ]; then
		LIMIT=$LINUX_LIMIT
		ARGS="$ARGS -m 128 -kernel $GUESTS/stock.vmlinux
			-initrd $GUESTS/stock.cpio -serial chardev:console"
		APPEND="console=ttyS0 $3"
		# It powers off by ACPI, if there is that.
		case $machine in *acpi=off*) ;; *) PASS=0;; esac
	elif [ "$1" = cloud ]; then
		LIMIT=$LINUX_LIMIT PASS=0 APPEND=
		ARGS="$ARGS -m 128 -serial chardev:console
			-drive file=$GUESTS/cloud.img,if=virtio,format=raw,snapshot=on"
	elif [ "$1" = uefi ]; then
		LIMIT=$LINUX_LIMIT PASS=0 APPEND="console=ttyS0 $3"
		ARGS="$ARGS -m 256 -serial chardev:console
			-kernel $GUESTS/cloud.vmlinuz -initrd $GUESTS/cloud.cpio"
	elif [ -f "$GUESTS/$1.cpio" ]; then
		LIMIT=$LINUX_LIMIT
		local kernel=$GUESTS/$1.vmlinux
		[ -f "$kernel" ] || kernel=$GUESTS/vmlinux
		ARGS="$ARGS -m 64 -kernel $kernel
			-initrd $GUESTS/$1.cpio -serial chardev:console"
		APPEND="console=ttyS0 quiet reboot=t panic=-1 $3"
	else
		ARGS="$ARGS -m 32 -kernel $GUESTS/$1.elf"
		case $3 in
		*con=0x3f8*) ARGS="$ARGS -serial chardev:console";;
		*) ARGS="$ARGS -device isa-debugcon,iobase=$4,chardev=console";;
		esac
		APPEND=$3
	fi
	DISK=
	for device in $DEVICES; do use_device "$device"; done
}

# Runs QEMU with output in $1.out and $1.err; sets RC and TOOK.
run_qemu()
{
	local base=$1 start
	shift
	# what the guest does to its disk is for one run
	[ -z "$DISK" ] || cp "$GUESTS/${DISK_IMAGE:-disk.img}" "$DISK"
	start=$(now)
	timeout "$LIMIT" "$QEMU" "$@" > "$base.out" 2> "$base.err" < /dev/null
	RC=$?
	TOOK=$(($(now) - start))
}

# native BASE: runs the machine that machine() described, unrecorded
native()
{
	# shellcheck disable=SC2086,SC2116 # one space for each line break
	run_qemu "$1" $ARGS ${APPEND:+-append "$(echo $APPEND)"}
}

# record BASE [OPTION]...: the same, recorded to BASE.smr; sets the counters
record()
{
	local base=$1 opts=
	shift
	for o; do opts="$opts,$o"; done
	rm -f "$base.smr"
	# shellcheck disable=SC2086,SC2116 # one space for each line break
	run_qemu "$base" $ARGS ${APPEND:+-append "$(echo $APPEND)"} -record "file=$base.smr$opts"
	summary "$base"
}

# summary BASE: sets the counters of a recording
summary()
{
	local base=$1
	SUMMARY=$(sed -n 's/^.*samsara: recorded //p' "$base.err")
	COMMITS=$(field 's/^\([0-9]*\) commits.*/\1/p')
	CHUNKS=$(field 's/^.* \([0-9]*\) chunks.*/\1/p')
	ROLLBACKS=$(field 's/^.* \([0-9]*\) rollbacks.*/\1/p')
	PHASES=$(field 's/^.* \([0-9]*\) serial phases.*/\1/p')
	LOG=$(field 's/^.* \([0-9]*\) log bytes.*/\1/p')
	STORED=$(field 's/^.*(\([0-9]*\) compressed).*/\1/p')
	DIGEST=$(field 's/^.*mem_digest=\([0-9a-f]*\).*/\1/p')
}

field()
{
	echo "$SUMMARY" | sed -n "$1"
}

# replay BASE FILE [OPTION]...: sets RC, TOOK, R_COMMITS and R_DIGEST
replay()
{
	local base=$1 file=$2 opts=
	shift 2
	for o; do opts="$opts,$o"; done
	run_qemu "$base" -display none -replay "file=$file$opts"
	R_LINE=$(sed -n 's/^.*samsara: replay exact: //p' "$base.err")
	R_COMMITS=${R_LINE%% *}
	R_DIGEST=${R_LINE##*mem_digest=}
}

# exact RECORDING-BASE REPLAY-BASE: was the last replay, of the last recording, exact?
exact()
{
	[ "$RC" = 0 ] && [ "$R_DIGEST" = "$DIGEST" ] && [ "$R_COMMITS" = "$COMMITS" ] &&
		cmp -s "$1.out" "$2.out"
}

# The guest's RESULT line without the name.
result_of()
{
	sed -n 's/^.*RESULT [a-z-]* \(.*\)$/\1/p' "$1" | tr -d '\r' | tail -n 1
}

pinned_pages()	# guest memory that the kernel holds
{
	# each processor's part of the statistics
	cat /proc/sys/vm/stat_refresh > /dev/null
	awk '$1 == "nr_foll_pin_acquired" { n += $2 } $1 == "nr_foll_pin_released" { n -= $2 }
		END { print n }' /proc/vmstat
}

# keep NAME FILE...: what a failure leaves behind
keep()
{
	local dir=/work/out/$1
	shift
	mkdir -p "$dir"
	for f; do
		[ -f "$f" ] || continue
		[ "$(stat -c %s "$f")" -gt 8000000 ] || cp "$f" "$dir/"
	done
	dmesg | tail -n 60 > "$dir/dmesg"
}

# tails FILE...: their ends, indented
tails()
{
	for f; do
		[ -s "$f" ] || continue
		echo "    $(basename "$f"):"
		tail -n 8 "$f" | cut -c1-200 | sed 's/^/      /'
	done
}
