#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/qemu-debian: root directory with qemu-system-x86_64 of Debian's package (with
# TCG, for `make bench`), and the libraries it needs, from the archive.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

libs=usr/lib/x86_64-linux-gnu

# libraries_of PACKAGE...: those it depends on, themselves and through each other
libraries_of()
{
	apt-cache depends "$@" --no-recommends --no-suggests --no-conflicts --no-breaks \
		--no-replaces --no-enhances | grep -oE '\b(lib[a-z0-9.+-]+|zlib1g)$' | sort -u
}

# needed DIR FILE...: libraries in DIR that the files are linked with, and so on
needed()
{
	local dir=$1 so
	shift
	readelf -d "$@" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p' | sort -u |
	while read -r so; do
		[ ! -e "$out/$libs/$so" ] || continue
		[ -e "$dir/$so" ] || die "no package has $so"
		cp -L "$dir/$so" "$out/$libs/$so"
		needed "$dir" "$out/$libs/$so"
	done
}

build()
{
	local out=$1 debs direct packages
	debs=$(dirname "$out")/debs
	mkdir -p "$debs/root" "$out/usr/bin" "$out/$libs/qemu" "$out/lib64"
	use_archive
	mapfile -t direct < <(libraries_of qemu-system-x86)
	mapfile -t packages < <(libraries_of --recurse "${direct[@]}"; printf '%s\n' "${direct[@]}")
	cd "$debs"
	unpack_packages root qemu-system-x86 qemu-system-common "${packages[@]}"
	sha256sum ./*.deb > "$out/packages"
	# some libraries are still in /lib
	cp -a root/lib/x86_64-linux-gnu/. "root/$libs/"
	cp root/usr/bin/qemu-system-x86_64 "$out/usr/bin/qemu-debian"
	cp "root/$libs/qemu/accel-tcg-x86_64.so" "$out/$libs/qemu/"
	cp -L "root/$libs/ld-linux-x86-64.so.2" "$out/lib64/"
	needed "$debs/root/$libs" "$out/usr/bin/qemu-debian" "$out/$libs/qemu/accel-tcg-x86_64.so"
}

lock qemu-debian
# that of the version whose sources we build from
key=$(key build "$BUILD/sources/manifest.qemu" "$TOP/scripts/debian-qemu.sh")
if ! is_cached qemu-debian "$key"; then
	say "fetching Debian's qemu-system-x86 and its libraries (about 30 MB) ..."
fi
cached qemu-debian "$key" logged qemu-debian build
