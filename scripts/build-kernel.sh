#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds a kernel of the testbed from tests/testbed/kernel/*.config:
#
#	build-kernel.sh host    build/host-kernel: bzImage, vmlinux (stripped),
#	                        modules/ (KVM unpatched), kbuild/ (what external
#	                        modules are built against)
#	build-kernel.sh guest   build/guest-kernel: vmlinux (stripped)
#	build-kernel.sh io      build/io-kernel: the same, with disks and networks
#	build-kernel.sh debug   build/debug-kernel: as host, with lockdep, KASAN ...
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

variant=${1:?host, guest, io or debug}
C=$TOP/tests/testbed/kernel
linux=$BUILD/linux

case $variant in
host)  configs=("$C/host.config") n=3 about='4 min';;
guest) configs=("$C/guest.config") n=4 about='2 min';;
io)    configs=("$C/guest.config" "$C/io.config") n=4 about='3 min';;
debug)
	configs=("$C/host.config" "$C/debug.config") n=3 about='10 min'
	# 6.1 has fault injection's filter by call stack, but offers it for other
	# architectures only.
	export MAKEFLAGS="${MAKEFLAGS:-} CFLAGS_fault-inject.o=-DCONFIG_FAULT_INJECTION_STACKTRACE_FILTER";;
*) die "build-kernel.sh: host, guest, io or debug, not $variant";;
esac

# Says which wishes of a config file Kconfig did not fulfil: a misspelt or
# renamed option would otherwise go unnoticed.
check_config()
{
	local line name lost=0
	while read -r line; do
		name=${line#\# } name=${name%%[ =]*}
		case $line in
		CONFIG_*)
			# a later file may say otherwise
			grep -qxF "$line" .config || ! grep -qxF "$line" <(wishes) ||
				{ echo "config: lost: $line"; lost=1; };;
		'# CONFIG_'*)
			! grep -q "^$name=" .config || ! grep -qxF "$line" <(wishes) ||
				{ echo "config: could not switch off: $name"; lost=1; };;
		esac
	done < <(cat "${configs[@]}")
	return $lost
}

# the last word on every option
wishes()
{
	cat "${configs[@]}" | grep -E '^(# )?CONFIG_' |
		awk '{ n = $1 == "#" ? $2 : $1; sub(/=.*/, "", n); last[n] = $0 }
		     END { for (n in last) print last[n] }'
}

build()
{
	local out=$1 obj targets
	obj=$(dirname "$out")/obj
	mkdir "$obj"
	cd "$obj"
	# the same bits whoever builds it, wherever
	export KBUILD_BUILD_TIMESTAMP='2024-01-01' KBUILD_BUILD_USER=samsara KBUILD_BUILD_HOST=build
	make -C "$linux" O="$obj" tinyconfig
	"$linux/scripts/kconfig/merge_config.sh" -m -O "$obj" .config "${configs[@]}"
	make -C "$linux" O="$obj" olddefconfig
	check_config
	targets=(bzImage modules)
	[[ $variant != guest && $variant != io ]] || targets=(vmlinux)
	make -C "$linux" O="$obj" -j"$JOBS" "${targets[@]}"

	strip -o "$out/vmlinux" vmlinux
	cp .config "$out/config"
	[[ $variant != guest && $variant != io ]] || return 0
	cp System.map arch/x86/boot/bzImage "$out/"
	mkdir "$out/modules"
	find . -name '*.ko' -exec cp {} "$out/modules/" \;
	# what external modules need of the object tree
	mkdir -p "$out/kbuild/tools/objtool" "$out/kbuild/arch/x86/include"
	cp -a .config Module.symvers include scripts "$out/kbuild/"
	cp -a arch/x86/include/generated "$out/kbuild/arch/x86/include/"
	[ ! -f tools/objtool/objtool ] || cp tools/objtool/objtool "$out/kbuild/tools/objtool/"
}

lock "$variant-kernel"
key=$(key build "$BUILD/sources/manifest.linux" "${configs[@]}")
if ! is_cached "$variant-kernel" "$key"; then
	step $n "building the $variant kernel (about $about) ..."
fi
cached "$variant-kernel" "$key" logged "$variant-kernel" build
