#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/sources: the source packages of Linux, QEMU, libslirp and Bochs, fetched
# through a private apt root with signatures checked, and build/linux, the kernel
# source unpacked.
#
# What has been fetched once is kept in the cache with its checksums and used
# again without asking the archive; REFRESH=1 asks for newer versions. Each
# manifest.NAME lists the checksums of one package and is part of the key of
# whatever is built from it.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

S=$CACHE/sources

# the .dsc of Bochs may be missing from an archive that has the tarballs;
# they are checked against the signed index instead
fetch_bochs()
{
	local version sums f
	version=$(apt-cache showsrc --only-source bochs | awk '/^Version:/{v=$2} /^Checksums-Sha256:/{print v}' |
		grep '^3\.0' | head -1)
	[ -n "$version" ] || die "the archive has no source package bochs 3.0"
	apt-get -q source --download-only "bochs=$version" || echo "(apt-get: status $?)"
	sums=$(apt-cache showsrc --only-source bochs | awk -v v="$version" '
		/^[A-Za-z0-9-]+:/ { in_sums = 0 }
		/^Version:/ { ours = ($2 == v) }
		/^Checksums-Sha256:/ { in_sums = 1; next }
		in_sums && ours && /\.(orig|debian)\.tar\./ { print $1 "  " $3 }' | sort -u)
	[ "$(wc -l <<< "$sums")" = 2 ] || die "no checksums of bochs $version in the index"
	sha256sum --check --strict <<< "$sums"
	while read -r _ f; do echo "$f"; done <<< "$sums" > list.bochs
}

fetch()
{
	local out=$1 f
	cd "$out"
	use_archive
	apt-get -q download linux-source-6.1
	ls linux-source-6.1_*.deb > list.linux
	apt-get -q source --download-only qemu/bookworm
	ls qemu_* > list.qemu
	apt-get -q source --download-only libslirp/bookworm
	ls libslirp_* > list.libslirp
	fetch_bochs
	for f in linux qemu libslirp bochs; do
		xargs sha256sum < "list.$f" > "manifest.$f"
		rm "list.$f"
	done
}

unpack_linux()
{
	rm -rf "$BUILD/linux" "$BUILD/linux.tmp"
	mkdir "$BUILD/linux.tmp"
	# without what neither the build nor Kconfig reads
	dpkg-deb --fsys-tarfile "$BUILD"/sources/linux-source-6.1_*.deb |
		tar xO --wildcards './usr/src/linux-source-6.1.tar.*' |
		tar xJ -C "$BUILD/linux.tmp" --strip-components=1 \
			--wildcards --exclude='*/drivers/gpu/*.[ch]' \
			--exclude='*/Documentation/*.rst' --exclude='*/Documentation/*.txt' \
			--exclude='*/Documentation/*.yaml' --exclude='*/Documentation/*.svg' \
			--exclude='*/arch/[!x]*/*.[chS]' --exclude='*/arch/[!x]*/*.dts*' \
			--exclude='*/sound/*.[ch]' --exclude='*/tools/testing/*' \
			--exclude='*/drivers/staging/*.[ch]'
	cp "$BUILD/sources/manifest.linux" "$BUILD/linux.tmp/.samsara-source"
	mv "$BUILD/linux.tmp" "$BUILD/linux"
}

lock sources
mkdir -p "$S"
current=$S/current
if [ -n "${REFRESH:-}" ] || [ ! -f "$current/manifest.libslirp" ] ||
   ! ( cd "$current" && cat manifest.* | sha256sum --check --quiet --strict ) 2>/dev/null; then
	step 1 "fetching the sources of Linux, QEMU, libslirp and Bochs (about 170 MB) ..."
	tmp=$(mktemp -d "$S/.fetch-XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	logged sources fetch "$tmp"
	id=$(cat "$tmp"/manifest.* | sha256sum | cut -c1-20)
	[ -d "$S/$id" ] || mv -T "$tmp" "$S/$id"
	ln -sfn "$id" "$S/current.new"
	mv -T "$S/current.new" "$current"
fi
ln -sfn "$(realpath "$current")" "$BUILD/sources"

while read -r name version; do
	case $name in ''|'#'*) continue;; esac
	compgen -G "$BUILD/sources/${name}_${version}*" > /dev/null && continue
	have=("$BUILD/sources/${name}_"*)
	say "note: the archive has $(basename "${have[0]}"); last tested: version $version"
done < "$TOP/scripts/tested-versions"

if ! cmp -s "$BUILD/sources/manifest.linux" "$BUILD/linux/.samsara-source"; then
	say "unpacking the kernel source ..."
	logged linux-unpack unpack_linux
fi
