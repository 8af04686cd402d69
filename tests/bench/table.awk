# SPDX-License-Identifier: GPL-2.0
# The lines of tests/bench/host.sh as a table, and geometric means.
BEGIN { nr_parts = split("chunk spin lost precommit wait commit sync section", parts) }
{
	delete v
	for (i = 3; i <= NF; i++) {
		split($i, f, "=")
		v[f[1]] = f[2]
	}
	key = $2 SUBSEP v["vcpus"]
	if (!(key in seen)) {
		seen[key] = ++rows
		guest[rows] = $2
		vcpus[rows] = v["vcpus"]
	}
	row = seen[key]
	mode = v["mode"]
	if (mode == "replay") {
		replay[row, last] = v["took"]
		next
	}
	last = mode
	cycles[row, mode] = v["cycles"]
	took[row, mode] = v["took"]
	chunks[row, mode] = v["chunks"]
	rollbacks[row, mode] = v["rollbacks"]
	stored[row, mode] = v["stored"]
	for (p = 1; p <= nr_parts; p++)
		part[row, mode, p] = v["in_" parts[p]]
	if (mode != "native" && mode != "unpatched" && !(mode in modes)) {
		modes[mode] = 1
		order[++nr_modes] = mode
	}
}
function ratio(a, b) { return b ? sprintf("%.2f", a / b) : "-" }
END {
	printf "%-10s %5s %13s %8s", "guest", "vCPUs", "native cycles", "patched"
	for (m = 1; m <= nr_modes; m++)
		printf "  %9s %7s %9s %9s %7s", order[m], "chunks", "rollbacks", "log bytes", "replay"
	print ""
	for (r = 1; r <= rows; r++) {
		base = cycles[r, "unpatched"] ? cycles[r, "unpatched"] : cycles[r, "native"]
		printf "%-10s %5d %13d %8s", guest[r], vcpus[r], base, ratio(cycles[r, "native"], base)
		for (m = 1; m <= nr_modes; m++) {
			o = order[m]
			x = cycles[r, o]
			printf "  %9s %7d %9d %9d %7s", ratio(x, base), chunks[r, o],
				rollbacks[r, o], stored[r, o], ratio(replay[r, o], took[r, o])
			if (base && x) {
				sum[vcpus[r], o] += log(x / base)
				n[vcpus[r], o]++
			}
		}
		print ""
	}
	for (c = 1; c <= 64; c++)
		for (m = 1; m <= nr_modes; m++)
			if (n[c, order[m]])
				printf "geometric mean, %d vCPUs, %s: %.2f\n", c, order[m],
					exp(sum[c, order[m]] / n[c, order[m]])
	print "patched, parallel, serial: time / native; replay: whole replay / whole recording"

	print "\nwhere the time of chunks and their commits goes, parallel, percent:"
	printf "%-10s %5s", "guest", "vCPUs"
	for (p = 1; p <= nr_parts; p++)
		printf " %9s", parts[p]
	print ""
	for (r = 1; r <= rows; r++) {
		all = 0
		for (p = 1; p <= nr_parts; p++)
			all += part[r, "parallel", p]
		if (!all)
			continue
		printf "%-10s %5d", guest[r], vcpus[r]
		for (p = 1; p <= nr_parts; p++)
			printf " %9.1f", 100 * part[r, "parallel", p] / all
		print ""
	}
}
