#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build/bochs: the simulated Intel machine, Bochs 3.0 with the patches and the
# performance-monitoring unit of tests/testbed/bochs.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

P=$TOP/tests/testbed/bochs

build()
{
	local out=$1 src
	src=$(dirname "$out")/src
	mkdir "$src"
	tar xf "$BUILD"/sources/bochs_*.orig.tar.* -C "$src" --strip-components=1
	"$TOP/scripts/apply-series.sh" "$src" "$P/series"
	cp "$P"/*.cc "$P"/*.h "$src/cpu/"
	# --disable-show-ips: its alarm handler logs and can deadlock the logger.
	# --enable-x86-debugger: instruction breakpoints, which replay lands with.
	# --enable-evex: AVX alone does not compile in 3.0.
	( cd "$src"
	  ./configure --prefix=/usr --with-nogui --enable-smp --enable-x86-64 \
		--enable-vmx=2 --enable-avx --enable-evex --enable-cpu-level=6 \
		--enable-all-optimizations --enable-pci \
		--enable-fast-function-calls --enable-handlers-chaining \
		--enable-repeat-speedups --enable-x86-debugger \
		--disable-docbook --disable-show-ips \
		CXXFLAGS="-O2 -fno-plt"
	  make -j"$JOBS" bochs )
	strip -o "$out/bochs" "$src/bochs"
}

lock bochs
key=$(key build "$BUILD/sources/manifest.bochs" "$P"/series "$P"/*.patch "$P"/*.cc "$P"/*.h)
if ! is_cached bochs "$key"; then
	step 2 "building the simulated machine, Bochs (about 90 s) ..."
fi
cached bochs "$key" logged bochs build
