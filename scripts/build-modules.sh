#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds KVM with kvm-samsara/patches and the engine:
#
#	build-modules.sh own      build/modules, for the simulated host
#	build-modules.sh debug    build/modules-debug, for its debug kernel
#	build-modules.sh debian   build/modules-debian, for Debian's kernel
#	build-modules.sh intree   compiles arch/x86/kvm inside the patched tree
#	build-modules.sh each     KVM after each patch; "ok NAME" or "not ok NAME"
#	build-modules.sh tree DIR only makes the sources of the external modules
#
# The first three are external modules made in a small source tree of their
# own, build/kvm-src*, that is kept up to date file by file: a change in one
# file of the engine compiles that file only.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

variant=${1:-own}
linux=$BUILD/linux
K=$TOP/kvm-samsara

# the parts of the kernel source an external build of KVM consists of; made
# anew, without objects, for another kernel source or another kernel
base_tree()
{
	local dest=$1
	base_id | cmp -s - "$dest/.samsara-source" && return
	rm -rf "$dest"
	mkdir -p "$dest/arch/x86" "$dest/virt" "$dest/include/uapi/linux"
	cp -a "$linux/arch/x86/kvm" "$dest/arch/x86/"
	cp -a "$linux/virt/kvm" "$dest/virt/"
	cp "$K/Kbuild" "$dest/"
	base_id > "$dest/.samsara-source"
}

base_id() { cat "$BUILD/sources/manifest.linux"; readlink -f "$kernel" || true; }

# patches, then our own files; only what differs is touched
sync_sources()
{
	local dest=$1 series=${2:-$K/patches/series} own=$1/arch/x86/kvm/samsara
	"$TOP/scripts/sync-tree.sh" "$linux" "$series" "$dest"
	mkdir -p "$own/core"
	rsync -dc --delete --include='*.c' --include='*.h' --include=Makefile.objs \
		--exclude='*' "$K/" "$own/"
	rsync -dc --delete --include='*.c' --include='*.h' --exclude='*' \
		"$K/core/" "$own/core/"
	rsync -c "$TOP/Kconfig.samsara" "$own/Kconfig"
	rsync -rc "$K/include/uapi/linux/" "$dest/include/uapi/linux/"
	mkdir -p "$dest/arch/x86/include/asm"
	rsync -rc "$K/include/asm/" "$dest/arch/x86/include/asm/"
}

# external SUFFIX KERNEL MAKE-ARGUMENTS...
external()
{
	local src=$BUILD/kvm-src$1 out=$BUILD/modules$1 ko
	local kernel=$2
	shift 2
	base_tree "$src"
	sync_sources "$src"
	logged "modules-$variant" make "$@" M="$src" KCFLAGS="-ffile-prefix-map=$src=." \
		-j"$JOBS" modules
	grep -E 'warning:' "$BUILD/log/modules-$variant.log" || true
	mkdir -p "$out"
	for ko in "$src"/arch/x86/kvm/*.ko; do
		cmp -s "$ko" "$out/${ko##*/}" || cp "$ko" "$out/"
	done
}

intree()
{
	local src=$BUILD/linux-intree obj=$BUILD/intree
	if ! cmp -s "$BUILD/sources/manifest.linux" "$src/.samsara-source"; then
		rm -rf "$src" "$obj"
		mkdir "$src"
		cp -a "$linux/." "$src/"
		cp "$BUILD/sources/manifest.linux" "$src/.samsara-source"
	fi
	sync_sources "$src"
	mkdir -p "$obj"
	make -C "$src" O="$obj" tinyconfig
	"$src/scripts/kconfig/merge_config.sh" -m -O "$obj" "$obj/.config" \
		"$TOP/tests/testbed/kernel/host.config"
	# every vendor's code, since all of it includes the changed headers
	printf '%s\n' CONFIG_CPU_SUP_AMD=y CONFIG_KVM_AMD=m CONFIG_KVM_XEN=y \
		CONFIG_KVM_SAMSARA=y >> "$obj/.config"
	make -C "$src" O="$obj" olddefconfig
	grep -q '^CONFIG_KVM_SAMSARA=y' "$obj/.config"
	make -C "$src" O="$obj" -j"$JOBS" prepare
	make -C "$src" O="$obj" -j"$JOBS" arch/x86/kvm/
}

# KVM with the patches of a series, as external modules, with the engine off: it needs
# all of the patches, and then it is what the variant own builds.
without_engine()
{
	local src=$BUILD/lint/kvm-src
	base_tree "$src"
	# Headers that a later patch changes lie here from the beginning, else make would
	# not see them come.
	[ -e "$src/.samsara-patched" ] || sync_sources "$src"
	sync_sources "$src" "$1"
	sed -i '/CONFIG_KVM_SAMSARA/{/:= y$/d; /-DCONFIG/d}' "$src/arch/x86/kvm/samsara/Makefile.objs"
	make -C "$linux" O="$kernel/kbuild" M="$src" KCFLAGS=-Werror -j"$JOBS" modules
}

lock "modules-$variant"
case $variant in
own)
	step 5 "building the KVM modules (about 30 s) ..."
	external "" "$BUILD/host-kernel" -C "$linux" O="$BUILD/host-kernel/kbuild";;
debug)
	say "building the KVM modules for the debug kernel ..."
	external -debug "$BUILD/debug-kernel" -C "$linux" O="$BUILD/debug-kernel/kbuild";;
debian)
	"$TOP/scripts/fetch-headers.sh"
	say "building the KVM modules for Debian's kernel (about 90 s) ..."
	external -debian "$BUILD/debian-headers/build" -C "$BUILD/debian-headers/build";;
intree)
	say "compiling KVM inside the patched kernel tree (about 2 min) ..."
	logged modules-intree intree
	grep -E 'warning:' "$BUILD/log/modules-intree.log" || true;;
each)
	kernel=$BUILD/host-kernel
	each_patch "$K/patches/series" without_engine "$K/Makefile.objs" "$K/Kbuild" "$K"/*hooks.h \
		"$K"/include/asm/* "$K"/include/uapi/linux/* "$BUILD/sources/manifest.linux" \
		"$TOP/tests/testbed/kernel/host.config";;
tree)
	kernel=
	base_tree "$2"
	sync_sources "$2"
	rm -f "$2"/.samsara-*;;
*)
	die "build-modules.sh: own, debug, debian, intree, each or tree, not $variant";;
esac
