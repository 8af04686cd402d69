#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/debian-headers: the headers of Debian's current kernel, unpacked (not
# installed) from its packages, to build modules against. build/debian-headers/
# build is what /lib/modules/VERSION/build would be.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

fetch()
{
	local out=$1 v common
	use_archive
	# linux-headers-amd64 -> linux-headers-VERSION-amd64 -> -common, kbuild
	v=$(apt-cache depends linux-headers-amd64 | awk '/Depends: linux-headers-6\.1\./{print $2; exit}')
	[ -n "$v" ] || die "the archive has no linux-headers-amd64 for Linux 6.1"
	common=$(apt-cache depends "$v" | awk '/Depends: linux-headers-.*-common/{print $2; exit}')
	cd "$(dirname "$out")"
	unpack_packages "$out" "$v" "$common" linux-kbuild-6.1
	# the makefile names the common part by its installed place
	sed -i "s,/usr/src/,\$(dir \$(abspath \$(lastword \$(MAKEFILE_LIST))))../," \
		"$out/usr/src/$v/Makefile"
	ln -s "usr/src/$v" "$out/build"
	echo "$v" > "$out/version"
}

key=$(key fetch "$BUILD/sources/manifest.linux")
is_cached debian-headers "$key" || say "fetching the headers of Debian's kernel ..."
cached debian-headers "$key" logged debian-headers fetch
