#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/debian-programs: the root file system of the benchmark's Linux guest, with
# programs and libraries from Debian's packages, unpacked, not installed, and only as
# much of them as tests/bench/programs/ needs: the guest's memory is in the recording.
# "packages" in it says what was taken.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

packages=(libc6 libc6-dev linux-libc-dev busybox-static pigz zlib1g rt-tests sysbench
	libluajit-5.1-2 libgcc-s1 libaio1 tcc make)

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

build()
{
	local out=$1 dir all zlib lib=usr/lib/x86_64-linux-gnu f
	use_archive
	dir=$(dirname "$out") all=$dir/all zlib=$dir/zlib
	mkdir "$all" "$zlib"
	cd "$dir"
	unpack_packages "$all" "${packages[@]}"
	apt-get -q source --download-only zlib/bookworm
	sha256sum ./*.deb zlib_* > "$out/packages"
	tar xf zlib_*.orig.tar.* -C "$zlib" --strip-components=1

	mkdir -p "$out"/root/{bin,dev,proc,tmp,lib64,usr/bin,usr/src/zlib/test} \
		"$out/root/$lib/tcc/include"
	cd "$out/root"
	ln -s usr/lib lib
	cp "$all/bin/busybox" bin/
	for f in sh cat cmp cp expr grep head md5sum rm sed seq tr; do
		ln -s busybox "bin/$f"
	done
	cp "$all"/usr/bin/{pigz,hackbench,sysbench,tcc,make} usr/bin/
	cp -L "$all"/lib/x86_64-linux-gnu/{libc.so.6,libm.so.6,libpthread.so.0,libdl.so.2} \
		"$all"/lib/x86_64-linux-gnu/{libz.so.1,libgcc_s.so.1} \
		"$all/$lib"/{libluajit-5.1.so.2,libaio.so.1} "$lib/"
	cp -L "$all/lib64/ld-linux-x86-64.so.2" lib64/
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

# Every library that a program in the root asks for must be in it.
ldd_check()
{
	local f need
	for f in usr/bin/* usr/lib/x86_64-linux-gnu/*.so.*; do
		for need in $(readelf -d "$f" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
			[ -e "usr/lib/x86_64-linux-gnu/$need" ] || [ -e "lib64/$need" ] ||
				die "$f needs $need"
		done
	done
}

lock programs
key=$( (declare -f build stub headers ldd_check; echo "${packages[@]}"
	cat "$BUILD/sources/manifest.linux") | sha256sum | cut -c1-20)
is_cached debian-programs "$key" || say "fetching the programs of the benchmark (about 12 MB) ..."
cached debian-programs "$key" logged debian-programs build
