#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Makes a private apt root and brings its package lists up to date:
#
#	apt-root.sh DIR
#
# It needs no root, leaves the machine's own apt configuration alone, and uses
# the archive the machine uses: its Debian 12 sources, with source packages,
# plus the sources of the next suite (for Bochs). Signatures stay checked.
# Afterwards: APT_CONFIG=DIR/apt.conf apt-get ...
set -euo pipefail

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
release=bookworm next=trixie

die() { echo "apt-root: error: $*" >&2; exit 1; }

# Prints "URI SUITES" of each Debian 12 source in old one-line format. The
# component main tells Debian from other archives that name suites like it.
one_line_sources()
{
	{ cat "$@" 2>/dev/null || true; } | sed -E 's/#.*//; s/\[[^]]*\]//' |
		awk -v r="$release" '$1 == "deb" && $3 ~ "^" r "($|[-/])" {
			for (i = 4; i <= NF; i++)
				if ($i == "main") { print $2, $3; next } }' | sort -u
}

# The same for deb822 files: stanzas of Field: value lines.
deb822_sources()
{
	local f
	for f; do cat "$f"; echo; done |
		awk -v r="$release" '
		function flush(   n, i, s, ok) {
			n = split(suites, s, " "); ok = ""
			for (i = 1; i <= n; i++)
				if (s[i] ~ "^" r "($|[-/])") ok = ok " " s[i]
			if (types ~ /deb/ && ok != "" && (" " comps " ") ~ / main / &&
			    enabled !~ /^(no|false|0)$/)
				print uri ok
			types = uri = suites = comps = enabled = ""
		}
		/^#/ { next }
		/^[ \t]*$/ { flush(); next }
		/^[A-Za-z-]+:/ { key = tolower($1); $1 = ""; sub(/^ /, "") }
		key == "types:" { types = types " " $0 }
		key == "uris:" && uri == "" { uri = $1 }
		key == "suites:" { suites = suites " " $0 }
		key == "components:" { comps = comps " " $0 }
		key == "enabled:" { enabled = $1 }
		END { flush() }'
}

A=${1:?usage: apt-root.sh DIR}
mkdir -p "$A"/{lists/partial,cache/archives/partial,state,log,etc}
A=$(cd "$A" && pwd)
[ -f "$keyring" ] || die "$keyring is missing (package debian-archive-keyring)"

shopt -s nullglob
sources=$(deb822_sources /etc/apt/sources.list.d/*.sources
	  one_line_sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list)
[ -n "$sources" ] ||
	die "no Debian 12 ($release) source with component main in /etc/apt/sources.list or /etc/apt/sources.list.d"

{
	while read -r uri suites; do
		printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' \
			"$uri" "$suites" "$keyring"
	done <<< "$sources"
	# the archive proper, not the one for security updates
	uri=$(awk -v r="$release" '{ for (i = 2; i <= NF; i++) if ($i == r) { print $1; exit } }' <<< "$sources")
	[ -n "$uri" ] || die "the apt sources do not name the suite $release itself"
	printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
		"$uri" "$next" "$keyring"
} > "$A/etc/samsara.sources"

cat > "$A/apt.conf" <<E
Dir::State "$A/state";
Dir::State::Lists "$A/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::State::extended_states "$A/state/extended_states";
Dir::Cache "$A/cache";
Dir::Log "$A/log";
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$A/etc";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
APT::Update::Post-Invoke "";
APT::Update::Post-Invoke-Success "";
APT::Sandbox::User "";
E
APT_CONFIG=$A/apt.conf apt-get -q update --error-on=any
