#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/qemu/qemu-system-x86_64: QEMU 7.2 with qemu-patches, small and static.
# With "full" as argument: build/qemu-full, dynamic, in QEMU's default
# configuration for x86_64-softmmu (whatever the installed libraries allow), to
# check that the patches build there too. With "each": compiles, in build/lint, what
# each patch changes; prints "ok PATCH" or "not ok PATCH ...".
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

variant=${1:-small}
orig=$BUILD/qemu-orig
src=$BUILD/qemu-src
slirp=$BUILD/slirp
P=$TOP/qemu-patches
K=$TOP/kvm-samsara

unpack()
{
	rm -rf "$orig.tmp"
	mkdir -p "$orig.tmp"
	tar xf "$BUILD"/sources/qemu_*.orig.tar.* -C "$orig.tmp" --strip-components=1
	tar xf "$BUILD"/sources/qemu_*.debian.tar.* -C "$orig.tmp"
	# Debian's patches bring 7.2.0 to the current 7.2 stable release
	"$TOP/scripts/apply-series.sh" "$orig.tmp" "$orig.tmp/debian/patches/series"
	rm -rf "$orig"
	mv "$orig.tmp" "$orig"
	cp "$BUILD/sources/manifest.qemu" "$orig/.samsara-source"
}

# new sources of ours: only files whose content differs are touched
sync_own()
{
	local dest=$src/accel/kvm/samsara
	mkdir -p "$dest/core" "$src/linux-headers/linux"
	if [ -d "$P/samsara" ]; then
		rsync -rc --delete --exclude=/core --exclude=/lib "$P/samsara/" "$dest/"
	fi
	if [ -d "$P/qapi" ]; then
		rsync -rc "$P/qapi/" "$src/qapi/"
	fi
	rsync -rc --delete "$K/core/" "$dest/core/"
	# the reader and writer of recording files, shared with the tool
	if [ -d "$TOP/tools/lib" ]; then
		rsync -rc --delete "$TOP/tools/lib/" "$dest/lib/"
	fi
	rsync -rc "$K/include/uapi/linux/kvm_samsara.h" "$src/linux-headers/linux/"
	cmp -s "$TOP/scripts/qemu-samsara.mak" "$src/configs/devices/x86_64-softmmu/samsara.mak" ||
		cp "$TOP/scripts/qemu-samsara.mak" "$src/configs/devices/x86_64-softmmu/samsara.mak"
}

# For -netdev user.  Debian has no static one.
build_slirp()
{
	local tmp=$slirp.tmp
	rm -rf "$tmp" "$slirp"
	mkdir -p "$tmp/src"
	tar xf "$BUILD"/sources/libslirp_*.orig.tar.* -C "$tmp/src" --strip-components=1
	meson setup --prefix="$slirp" --libdir=lib --buildtype=release --default-library=static \
		"$tmp/build" "$tmp/src"
	ninja -C "$tmp/build" -j"$JOBS" install
	rm -rf "$tmp"
	cp "$BUILD/sources/manifest.libslirp" "$slirp/.samsara-source"
}

# QEMU looks for what is below its prefix relative to where it runs.  Debian's firmware
# must be found from build/ and from /usr/local/bin, so it may not be below it.
configure_small()
{
	mkdir -p "$BUILD/qemu" && cd "$BUILD/qemu"
	PKG_CONFIG_PATH=$slirp/lib/pkgconfig \
	"$src/configure" --prefix=/usr/local --meson=/usr/bin/meson --static \
		--target-list=x86_64-softmmu --enable-kvm --disable-tcg \
		--disable-user --disable-tools --disable-docs \
		--without-default-features --without-default-devices \
		--with-devices-x86_64=samsara --enable-system --enable-slirp --enable-capstone \
		--enable-fdt=system --enable-coroutine-pool --enable-avx2 \
		--audio-drv-list= --with-git-submodules=ignore \
		--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu \
		--disable-install-blobs --disable-strip --disable-debug-info \
		--disable-pie --disable-werror \
		--extra-cflags="-ffile-prefix-map=$src=."
}

configure_full()
{
	mkdir -p "$BUILD/qemu-full" && cd "$BUILD/qemu-full"
	"$src/configure" --prefix=/usr/local --meson=/usr/bin/meson \
		--target-list=x86_64-softmmu --enable-kvm --disable-docs \
		--with-git-submodules=ignore --disable-install-blobs \
		--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu
}

# With the patches of a series: compiles what they change, and all of samsara.
after_patch()
{
	local obj=$BUILD/lint/qemu objects
	"$TOP/scripts/sync-tree.sh" "$orig" "$1" "$src"
	sync_own
	[ -f "$obj/build.ninja" ] || BUILD=$BUILD/lint configure_small
	# so that patches to meson.build count
	ninja -C "$obj" build.ninja
	mapfile -t objects < <(ninja -C "$obj" -t targets all | sed 's/: .*//' | grep '\.c\.o$' |
		grep -E "samsara|/($(changed_files "${1%/*}"/*.patch))\.c\.o\$")
	ninja -C "$obj" -j"$JOBS" "${objects[@]}"
}

# C files as meson calls their objects; these two include what .hx files become.
changed_files()
{
	{
		echo softmmu/vl
		echo monitor/misc
		sed -n 's,^+++ b/\(.*\)\.c$,\1,p' "$@"
	} | tr / _ | paste -sd '|'
}

[ "$variant" != each ] || src=$BUILD/lint/qemu-src
lock qemu
if ! cmp -s "$BUILD/sources/manifest.qemu" "$orig/.samsara-source"; then
	say "unpacking QEMU ..."
	rm -rf "$src" "$BUILD/qemu" "$BUILD/qemu-full"
	logged qemu-unpack unpack
fi
if [ ! -d "$src" ]; then
	# "/.": a copy, also if the sources are a link to another clone's
	mkdir -p "$src.tmp"
	cp -a "$orig/." "$src.tmp/"
	mv "$src.tmp" "$src"
fi
cmp -s "$BUILD/sources/manifest.libslirp" "$slirp/.samsara-source" || logged slirp build_slirp
series=$P/series
[ -f "$series" ] || series=/dev/null
"$TOP/scripts/sync-tree.sh" "$orig" "$series" "$src"
sync_own

case $variant in
each)
	mapfile -t own < <(find "$P"/*/ "$K/core" "$K/include/uapi" "$TOP/tools/lib" -type f | sort)
	each_patch "$P/series" after_patch \
		"$TOP/scripts/build-qemu.sh" "$TOP/scripts/qemu-samsara.mak" \
		"$BUILD"/sources/manifest.{qemu,libslirp} "${own[@]}";;
small)
	# A finished binary of the same content may be in the cache; it is only
	# used as long as nothing has been built here.
	key=$( (declare -f configure_small
		find "$P" "$K/core" "$K/include" "$TOP/tools/lib" -type f | sort | xargs cat
		cat "$TOP/scripts/qemu-samsara.mak" "$BUILD"/sources/manifest.{qemu,libslirp}) | sha256sum | cut -c1-20)
	bin=$BUILD/qemu/qemu-system-x86_64
	if [ ! -f "$BUILD/qemu/build.ninja" ] && is_cached qemu "$key"; then
		mkdir -p "$BUILD/qemu"
		cp "$CACHE/qemu-$key/qemu-system-x86_64" "$bin"
		exit 0
	fi
	config=$( (declare -f configure_small; cat "$TOP/scripts/qemu-samsara.mak") | sha256sum)
	if [ ! -f "$BUILD/qemu/build.ninja" ] || [ "$config" != "$(cat "$BUILD/qemu/.samsara-config")" ]; then
		step 6 "configuring and building QEMU (about 3 min) ..."
		rm -rf "$BUILD/qemu"
		logged qemu-configure configure_small
		echo "$config" > "$BUILD/qemu/.samsara-config"
	fi
	if ! ninja -C "$BUILD/qemu" -n qemu-system-x86_64 | grep -q 'no work to do'; then
		logged qemu ninja -C "$BUILD/qemu" -j"$JOBS" qemu-system-x86_64
		grep -E 'warning: .*samsara|samsara.*warning:' "$BUILD/log/qemu.log" || true
	fi
	# it would look for firmware in this first, and nowhere else
	rm -rf "$BUILD/qemu/qemu-bundle"
	copy_stripped() { strip -o "$1/qemu-system-x86_64" "$bin"; }
	store qemu "$key" copy_stripped
	# these are copied, not linked: old ones can go
	# shellcheck disable=SC2012 # names are ours
	ls -dt "$CACHE"/qemu-* | tail -n +6 | xargs -r rm -rf
	;;
full)
	# takes long; the sources are in place, so let the other variant go on
	lock qemu-full
	say "building QEMU in its default configuration (about 10 min) ..."
	[ -f "$BUILD/qemu-full/build.ninja" ] || logged qemu-full-configure configure_full
	logged qemu-full ninja -C "$BUILD/qemu-full" -j"$JOBS" qemu-system-x86_64
	;;
*)
	die "build-qemu.sh: small, full or each, not $variant";;
esac
