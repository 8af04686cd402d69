# SPDX-License-Identifier: GPL-2.0
# The lines of tests/bench/host.sh as a plot, in SVG: the time of each recording divided
# by that of the native run, a group of bars for each guest, a row for each number of
# vCPUs.  Colours are for light and dark backgrounds.
BEGIN {
	nr_colours = split("#3f83d8 #d9822b #3f9e5f #a667c9", colours)
	bar = 26
	gap = 22
	high = 190
	left = 40
	top = 54
}
{
	delete v
	for (i = 3; i <= NF; i++) {
		split($i, f, "=")
		v[f[1]] = f[2]
	}
	n = v["vcpus"]
	mode = v["mode"]
	if (mode == "replay" || mode == "preplay" || mode == "walk" || mode == "always" || mode ~ /^compare/ || ("exit_cost" in v))
		next
	if (!("cycles" in v) && mode !~ /^icount/)	# a whole run of several programs
		next
	if (mode ~ /^icount/) {	# the guest's own time is not real
		v["cycles"] = v["took"]
		sub(/^icount-/, "", mode)
	}
	if (!((n, $2) in guests)) {
		guests[n, $2]
		guest[n, ++groups[n]] = $2
		most = groups[n] > most ? groups[n] : most
	}
	if (!(n in groups_seen)) {
		groups_seen[n]
		panel[++panels] = n
	}
	if (!((n, $2, mode) in cycles) || v["cycles"] < cycles[n, $2, mode])
		cycles[n, $2, mode] = v["cycles"]
	if (mode == "native" || mode == "unpatched")
		next
	if (!(mode in modes)) {
		modes[mode]
		order[++nr_modes] = mode
	}
	if (!((n, mode) in tried)) {
		tried[n, mode]
		bars[n]++
	}
}
function ratio(n, g, mode,    base)
{
	base = cycles[n, g, cycles[n, g, "unpatched"] ? "unpatched" : "native"]
	return base ? cycles[n, g, mode] / base : 0
}
function text(x, y, size, anchor, what)
{
	printf "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\">%s</text>\n",
		x, y, size, anchor, what
}
function line(x, y, x2, y2, opacity)
{
	printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#808080\" " \
	       "stroke-opacity=\"%s\"/>\n", x, y, x2, y2, opacity
}
END {
	limit = 2
	for (p = 1; p <= panels; p++)
		for (g = 1; g <= groups[panel[p]]; g++)
			for (m = 1; m <= nr_modes; m++)
				while (ratio(panel[p], guest[panel[p], g], order[m]) > limit)
					limit *= 2
	for (p = 1; p <= panels; p++)
		group = bars[panel[p]] * bar + gap > group ? bars[panel[p]] * bar + gap : group
	width = left + most * group + 10
	height = top + panels * (high + 62)
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" " \
	       "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" fill=\"#808080\">\n",
	       width, height, width, height
	text(left, 18, 14, "start", "Time of a recording, divided by that of the native run (logarithmic)")
	x = left
	for (m = 1; m <= nr_modes; m++) {
		printf "<rect x=\"%d\" y=\"28\" width=\"12\" height=\"12\" fill=\"%s\"/>\n", x,
			colours[(m - 1) % nr_colours + 1]
		text(x + 17, 39, 12, "start", order[m])
		x += 40 + 8 * length(order[m])
	}
	for (p = 1; p <= panels; p++) {
		n = panel[p]
		bottom = top + (p - 1) * (high + 62) + 24 + high
		text(left, bottom - high - 8, 12, "start",
		     n == 1 ? "1 vCPU: QEMU -icount, whole runs" : n " vCPUs")
		for (t = 1; t <= limit; t *= 2) {
			y = bottom - high * log(t) / log(limit)
			line(left, y, width - 10, y, t == 1 ? 0.9 : 0.3)
			text(left - 6, y + 4, 11, "end", t)
		}
		for (g = 1; g <= groups[n]; g++) {
			x = left + (g - 1) * group + (group - bars[n] * bar) / 2
			text(x + bars[n] * bar / 2, bottom + 16, 12, "middle", guest[n, g])
			for (m = 1; m <= nr_modes; m++) {
				if (!((n, order[m]) in tried))
					continue
				q = ratio(n, guest[n, g], order[m])
				y = q > 1 ? high * log(q) / log(limit) : 1
				if (q)
					printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" " \
					       "fill=\"%s\"/>\n", x, bottom - y, bar - 2, y,
					       colours[(m - 1) % nr_colours + 1]
				text(x + bar / 2 - 1, bottom - (q ? y : 0) - 4, 9, "middle",
				     q ? sprintf(q < 9.95 ? "%.2f" : "%.1f", q) : "-")
				x += bar
			}
		}
	}
	print "</svg>"
}
