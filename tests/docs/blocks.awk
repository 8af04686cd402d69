# SPDX-License-Identifier: GPL-2.0
# Cuts the blocks of commands out of a document: a file DIR/NAME:LINE for each, and
# a line "NAME:LINE PLACE MARK" on standard output.
#
#	awk -v kind=md|rst|1 -v name=NAME -v dir=DIR -f blocks.awk DOCUMENT
#
# A block is what a reader takes for one: four columns in (Markdown), indented after
# "::" (reStructuredText), between .EX and .EE (manual page).  A comment before it may
# say that it is not what it seems to be, and is the MARK (else "run"):
#
#	not run: REASON		there is nothing to run, or a test can't
#	exit status N		of the last command; without it all have to return 0
#	output			what other blocks of the document print; words in capitals
#				stand for something else
#
# PLACE: clone or host, by the first word.

function flush_block(	place, i)
{
	while (n && lines[n] ~ /^[ \t]*$/)
		n--
	if (n) {
		place = lines[1] ~ /^(make|man|tests\/|build\/)/ ? "clone" : "host"
		print name ":" first, place, mark ? mark : "run"
		for (i = 1; i <= n; i++)
			print lines[i] > (dir "/" name ":" first)
		close(dir "/" name ":" first)
		mark = ""
	}
	n = 0
	inside = 0
}

# The first line of a block says how far it is indented.
function add(line)
{
	if (!n) {
		if (line ~ /^[ \t]*$/)
			return
		first = NR
		match(line, /^[ \t]*/)
		margin = kind == "md" ? 4 : RLENGTH
	}
	lines[++n] = substr(line, margin + 1)
}

function indentation(line)
{
	match(line, /^[ \t]*/)
	line = substr(line, 1, RLENGTH)
	gsub(/\t/, "        ", line)
	return length(line)
}

match($0, /^ *(<!--|\.\.|\.\\") (not run: .*|exit status [0-9]+|output)/) {
	if (inside)
		flush_block()
	mark = $0
	sub(/^ *(<!--|\.\.|\.\\") /, "", mark)
	sub(/ -->$/, "", mark)
	next
}

kind == "md" {
	if (/^    / && (inside || blank)) {
		inside = 1
		add($0)
	} else if (inside && /^[ \t]*$/) {
		add("")
	} else if (inside) {
		flush_block()
	}
	blank = /^[ \t]*$/
	next
}

kind == "rst" {
	if (inside && !/^[ \t]*$/ && indentation($0) <= outer)
		flush_block()
	if (inside) {
		add($0)
	} else if (/::$/ && !/^ *\.\. /) {
		inside = 1
		outer = indentation($0)
	}
	next
}

/^\.EX/ { inside = 1; next }
/^\.EE/ { flush_block(); next }
inside {
	gsub(/\\-/, "-")
	gsub(/\\e/, "\\")
	add($0)
}

END { flush_block() }
