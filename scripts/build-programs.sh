#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/debian-programs: root file systems of the benchmark's Linux guests, with programs
# and libraries from Debian's packages, unpacked, not installed, and only as much of them as
# tests/bench/programs/ needs (root), and tests/bench/programs-threaded/ (threaded): the
# guest's memory is in the recording.
# "packages" in it says what was taken.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

packages=(libc6 libc6-dev linux-libc-dev busybox-static pigz zlib1g rt-tests sysbench
	libluajit-5.1-2 libgcc-s1 libaio1 tcc make)
threaded=(zstd liblz4-1 liblzma5 libstdc++6 xz-utils pbzip2 libbz2-1.0 sqlite3 libsqlite3-0
	libreadline8 libtinfo6 redis-server redis-tools libatomic1 libjemalloc2 liblzf1 libssl3
	libsystemd0 libcap2 libgcrypt20 libgpg-error0 libzstd1)

# sysbench is linked with clients of two databases, which the tests here do not use,
# but which would bring 20 more libraries: a library with their functions' names does.
stub()	# PROGRAM LIBRARY FUNCTIONS VERSION
{
	nm -D --undefined-only "$1" |
		sed -n "s/^ *U \\(${3}[A-Za-z_]*\\).*/void \\1(void) { __builtin_trap(); }/p" |
		gcc -shared -nostdlib -Wl,-soname,"${2##*/}" \
			-Wl,--version-script=<(echo "$4 { global: *; };") -x c -o "$2" -
}

# What zlib's sources include, and the headers those include.
headers()	# ALL-PACKAGES SOURCES
{
	gcc --sysroot="$1" -M -I"$2" -DDYNAMIC_CRC_TABLE -DHAVE_UNISTD_H \
		"$2"/*.c "$2"/test/{example,minigzip}.c |
		grep -o "$1/usr/include/[^ ]*" | sort -u
}

# A root directory with a shell, the C library and a linker for it. Returns in it.
root()	# DIRECTORY ALL-PACKAGES APPLET...
{
	local dir=$1 all=$2 f
	shift 2
	mkdir -p "$dir"/{bin,dev,proc,tmp,lib64,usr/bin} "$dir/$lib"
	cd "$dir"
	ln -s usr/lib lib
	cp "$all/bin/busybox" bin/
	for f in sh cat cmp grep head md5sum rm sed seq "$@"; do
		ln -s busybox "bin/$f"
	done
	cp -L "$all"/lib/x86_64-linux-gnu/{libc.so.6,libm.so.6,libpthread.so.0,libdl.so.2} \
		"$all"/lib/x86_64-linux-gnu/{libz.so.1,libgcc_s.so.1} "$lib/"
	cp -L "$all/lib64/ld-linux-x86-64.so.2" lib64/
}

build_root()	# DIRECTORY ALL-PACKAGES ZLIB
{
	local all=$2 zlib=$3 f
	root "$1" "$all" cp expr tr
	mkdir -p usr/src/zlib/test "$lib/tcc/include"
	cp "$all"/usr/bin/{pigz,hackbench,sysbench,tcc,make} usr/bin/
	cp -L "$all/$lib"/{libluajit-5.1.so.2,libaio.so.1} "$lib/"
	# the linker looks for it among the libraries
	ln -s ../../../lib64/ld-linux-x86-64.so.2 "$lib/"
	stub usr/bin/sysbench "$lib/libmariadb.so.3" mysql_ libmysqlclient_18
	stub usr/bin/sysbench "$lib/libpq.so.5" PQ ""
	# what the compiler needs to make a program
	cp "$all/$lib"/{crt1.o,crti.o,crtn.o,libc.so,libc_nonshared.a} "$lib/"
	cp "$all/$lib/tcc/libtcc1.a" "$lib/tcc/"
	cp "$all/$lib"/tcc/include/*.h "$lib/tcc/include/"
	headers "$all" "$zlib" | while read -r f; do
		install -D -m 644 "$f" "./${f#"$all"/}"
	done
	# and what it compiles; the table in crc32.h would be most of it
	cp "$zlib"/*.[ch] "$zlib/Makefile.in" usr/src/zlib/
	cp "$zlib"/test/{example,minigzip}.c usr/src/zlib/test/
	: > usr/src/zlib/crc32.h
	ldd_check
}

build_threaded()	# DIRECTORY ALL-PACKAGES
{
	local all=$2 f names
	root "$1" "$all" ip sleep
	cp -P "$all"/usr/bin/{zstd,xz,pbzip2,sqlite3,redis-server,redis-check-rdb,redis-cli,redis-benchmark} \
		usr/bin/
	while names=$(missing) && [ "$names" ]; do
		for f in $names; do
			cp -L "$(find "$all/lib" "$all/$lib" -name "$f" -print -quit)" "$lib/"
		done
	done
	ldd_check
}

build()
{
	local out=$1 dir all zlib lib=usr/lib/x86_64-linux-gnu
	use_archive
	dir=$(dirname "$out") all=$dir/all zlib=$dir/zlib
	mkdir "$all" "$zlib"
	cd "$dir"
	unpack_packages "$all" "${packages[@]}" "${threaded[@]}"
	apt-get -q source --download-only zlib/bookworm
	sha256sum ./*.deb zlib_* > "$out/packages"
	tar xf zlib_*.orig.tar.* -C "$zlib" --strip-components=1
	build_root "$out/root" "$all" "$zlib"
	build_threaded "$out/threaded" "$all"
}

# The libraries that programs and libraries in the root ask for and which it does not have
missing()
{
	local f
	for f in $(readelf -d usr/bin/* "$lib"/*.so.* | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
		sort -u); do
		[ -e "$lib/$f" ] || [ -e "lib64/$f" ] || echo "$f"
	done
}

ldd_check()
{
	local f
	f=$(missing)
	[ ! "$f" ] || die "$PWD has no $f"
}

lock programs
key=$( (declare -f build root build_root build_threaded stub headers missing ldd_check
	echo "${packages[@]}" "${threaded[@]}"
	cat "$BUILD/sources/manifest.linux") | sha256sum | cut -c1-20)
is_cached debian-programs "$key" || say "fetching the programs of the benchmark (about 20 MB) ..."
cached debian-programs "$key" logged debian-programs build
