#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make install, make uninstall: the KVM modules on a real Intel host through
# DKMS, and QEMU and the tool under names of their own, if they are built.
# Nothing that belongs to a Debian package is overwritten.
#
# With DESTDIR only files are put there, and DKMS is not run.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

name=kvm-samsara
version=${VERSION:?}
DESTDIR=${DESTDIR:-}
bin=$DESTDIR${PREFIX:-/usr/local}/bin
man=$DESTDIR${PREFIX:-/usr/local}/share/man/man1
completions=$DESTDIR${PREFIX:-/usr/local}/share/bash-completion/completions
src=$DESTDIR/usr/src/$name-$version

need_root()
{
	[ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || die "this needs root (or DESTDIR=...)"
}

install_all()
{
	local kernel
	kernel=$(uname -r)
	need_root
	grep -qx "PACKAGE_VERSION=\"$version\"" "$TOP/kvm-samsara/dkms.conf" ||
		die "kvm-samsara/dkms.conf does not say version $version"
	if [ -z "$DESTDIR" ]; then
		command -v dkms > /dev/null ||
			die "dkms is not installed (apt-get install dkms linux-headers-amd64)"
		[[ $kernel =~ ^6\.1\. ]] ||
			die "the running kernel is $kernel; the modules are for Linux 6.1"
		[ -d "/lib/modules/$kernel/build" ] ||
			die "the headers of $kernel are missing (apt-get install linux-headers-$kernel)"
		if dkms status -m "$name" -v "$version" | grep -q .; then
			die "$name $version is installed already; run \`make uninstall' first"
		fi
	fi

	rm -rf "$src"
	mkdir -p "$(dirname "$src")" "$bin"
	"$TOP/scripts/build-modules.sh" tree "$src"
	cp "$TOP/kvm-samsara/dkms.conf" "$TOP/LICENSE" "$src/"
	chmod -R u=rwX,go=rX "$src"
	echo "installed $src"
	if [ -x "$BUILD/qemu/qemu-system-x86_64" ]; then
		install -s "$BUILD/qemu/qemu-system-x86_64" "$bin/qemu-samsara"
		echo "installed $bin/qemu-samsara"
	fi
	if [ -x "$BUILD/tools/samsara" ]; then
		install "$BUILD/tools/samsara" "$bin/samsara"
		install -D -m 644 "$TOP/tools/samsara.1" "$man/samsara.1"
		install -D -m 644 "$TOP/tools/samsara.bash-completion" "$completions/samsara"
		echo "installed $bin/samsara, $man/samsara.1, $completions/samsara"
	fi

	[ -z "$DESTDIR" ] || return 0
	dkms add -m "$name" -v "$version"
	dkms build -m "$name" -v "$version" -k "$kernel"
	dkms install -m "$name" -v "$version" -k "$kernel"
	say "installed for $kernel; load with: modprobe -r kvm_intel kvm; modprobe kvm_intel"
}

uninstall_all()
{
	need_root
	if [ -z "$DESTDIR" ] && command -v dkms > /dev/null &&
	   dkms status -m "$name" -v "$version" | grep -q .; then
		dkms remove -m "$name" -v "$version" --all
	fi
	rm -rf "$src"
	rm -f "$bin/qemu-samsara" "$bin/samsara" "$man/samsara.1" "$completions/samsara"
	say "removed; the distribution's modules are used from the next loading on"
}

case ${1:-} in
install) install_all;;
uninstall) uninstall_all;;
*) die "install.sh: install or uninstall";;
esac
