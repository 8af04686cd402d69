#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/debian-gdb: Debian's gdb with its libraries, unpacked, for the simulated host;
# debian-gdb/gdb starts it, wherever it lies.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

packages=(gdb-minimal libc6 libexpat1 libgcc-s1 libgmp10 liblzma5 libreadline8 libstdc++6
	libtinfo6 libxxhash0 libzstd1 zlib1g)
libraries=(libc.so.6 libm.so.6 libexpat.so.1 libgcc_s.so.1 libgmp.so.10 liblzma.so.5
	libreadline.so.8 libstdc++.so.6 libtinfo.so.6 libxxhash.so.0 libzstd.so.1 libz.so.1)

# stub PROGRAM LIBRARY FUNCTIONS: gdb can fetch files from servers, by a library that would
# bring 30 more, and decode traces; it does neither here, so a library with the functions'
# names, and versions, does.
stub()
{
	local functions
	functions=$(nm -D --undefined-only "$1" | sed -n "s/^ *U \\($3[A-Za-z_]*\\)/\\1/p")
	# shellcheck disable=SC2001 # no pattern of the shell's does that
	gcc -shared -nostdlib -Wl,-soname,"${2##*/}" -o "$2" \
		-Wl,--version-script=<(versions <<< "$functions") \
		-x c <(sed 's/\([^@]*\).*/void \1(void) { __builtin_trap(); }/' <<< "$functions")
}

versions()
{
	awk -F@ '{ names[$2] = names[$2] " " $1 ";" }
		END { for (v in names) print v " { global:" names[v] " };" }'
}

build()
{
	local out=$1 dir all f
	use_archive
	dir=$(dirname "$out") all=$dir/all
	mkdir -p "$all" "$out/lib"
	cd "$dir"
	unpack_packages "$all" "${packages[@]}"
	cp "$all/usr/bin/gdb" "$out/gdb.bin"
	for f in "${libraries[@]}"; do
		cp -L "$(find "$all" -name "$f" | head -n 1)" "$out/lib/"
	done
	cp -L "$all/lib64/ld-linux-x86-64.so.2" "$out/lib/"
	stub "$out/gdb.bin" "$out/lib/libdebuginfod.so.1" debuginfod_
	stub "$out/gdb.bin" "$out/lib/libipt.so.2" pt_
	cat > "$out/gdb" <<'EOF'
#!/bin/sh
dir=$(dirname "$0")
exec "$dir/lib/ld-linux-x86-64.so.2" --library-path "$dir/lib" "$dir/gdb.bin" "$@"
EOF
	chmod +x "$out/gdb"
}

lock gdb
key=$( (declare -f build stub versions; echo "${packages[@]}" "${libraries[@]}"
	cat "$BUILD/sources/manifest.linux") | sha256sum | cut -c1-20)
is_cached debian-gdb "$key" || say "fetching gdb (about 6 MB) ..."
cached debian-gdb "$key" logged debian-gdb build
