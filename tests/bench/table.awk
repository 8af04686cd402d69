# SPDX-License-Identifier: GPL-2.0
# The lines of tests/bench/host.sh as tables, in Markdown.  compute="NAME..." says which
# of the rows are compute kernels.
BEGIN {
	nr_parts = split("chunk spin lost precommit wait commit sync section", parts)
	n = split(compute, names, " ")
	for (i = 1; i <= n; i++)
		is_compute[names[i]] = 1
}
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
	for (name in v)
		val[row, mode, name] = v[name]
	if (mode != "native" && mode != "unpatched" && !(mode in modes)) {
		modes[mode] = 1
		order[++nr_modes] = mode
	}
}
function ratio(a, b) { return a && b ? sprintf("%.2f", a / b) : "-" }
function base(r)
{
	return val[r, val[r, "unpatched", "cycles"] ? "unpatched" : "native", "cycles"]
}
# Not one of several programs in a guest.
function own_run(r,    m)
{
	for (m = 1; m <= nr_modes; m++)
		if (val[r, order[m], "took"])
			return 1
	return 0
}
# KB of a kind of log, compressed, per vCPU and second of the guest's whole run.
function rate(r, mode, kind,    took)
{
	took = val[r, mode, "took"] / 100
	if (!took || !val[r, mode, kind])
		return "-"
	return sprintf("%.2f", val[r, mode, kind] / 1e3 / vcpus[r] / took)
}
function head(text, names, n,    i, line)
{
	printf "\n%s\n\n| guest | vCPUs |", text
	line = "|---|--:|"
	for (i = 1; i <= n; i++) {
		printf " %s |", names[i]
		line = line "--:|"
	}
	printf "\n%s\n", line
}
# A column of a row, which counts for the mean.
function add(r, column, x)
{
	if (x) {
		sum[vcpus[r], column] += log(x)
		count[vcpus[r], column]++
	}
	return x ? sprintf(" %.2f |", x) : " - |"
}
function means(n,    c, i)
{
	for (c = 1; c <= 64; c++) {
		if (!count[c, 1])
			continue
		printf "| geometric mean | %d | | |", c
		for (i = 1; i <= n; i++)
			if (count[c, i])
				printf " %.2f |", exp(sum[c, i] / count[c, i])
			else
				printf " - |"
		print ""
	}
}
# The rows of compute kernels, or the others.
function times(compute, what,    n, m, r, line, shown)
{
	delete sum
	delete count
	n = split("native, M cycles/patched, not recording", names, "/")
	for (m = 1; m <= nr_modes; m++)
		names[++n] = order[m]
	names[++n] = "parallel / serial"
	for (r = 1; r <= rows; r++) {
		if ((guest[r] in is_compute) != compute || !base(r))
			continue
		if (!shown++)
			head(what ": time, divided by that with unpatched modules:", names, n)
		line = ""
		for (m = 1; m <= nr_modes; m++)
			line = line add(r, m, val[r, order[m], "cycles"] / base(r))
		m = val[r, "serial", "cycles"]
		line = line add(r, nr_modes + 1, m ? val[r, "parallel", "cycles"] / m : 0)
		printf "| %s | %d | %.1f | %s |%s\n", guest[r], vcpus[r], base(r) / 1e6,
			ratio(val[r, "native", "cycles"], base(r)), line
	}
	means(nr_modes + 1)
}
END {
	times(1, "Compute kernels")
	times(0, "Kernel-heavy and worst cases")

	n = 0
	for (m = 1; m <= nr_modes; m++)
		names[++n] = order[m]
	head("Time of the replay, whole runs, divided by that of the recording:", names, n)
	for (r = 1; r <= rows; r++) {
		if (!own_run(r))
			continue
		printf "| %s | %d |", guest[r], vcpus[r]
		for (m = 1; m <= nr_modes; m++)
			printf " %s |", ratio(replay[r, order[m]], val[r, order[m], "took"])
		print ""
	}

	n = split("chunks/rollbacks/serial phases", names, "/")
	for (m = 1; m <= nr_modes; m++)
		names[++n] = order[m]
	names[++n] = "input"
	head("Chunks of the parallel recording; order log of each mode and input log of the " \
	     "parallel one, KB per core and second, compressed:", names, n)
	for (r = 1; r <= rows; r++) {
		if (!own_run(r))
			continue
		printf "| %s | %d | %d | %d | %d |", guest[r], vcpus[r], val[r, "parallel", "chunks"],
			val[r, "parallel", "rollbacks"], val[r, "parallel", "phases"]
		for (m = 1; m <= nr_modes; m++)
			printf " %s |", rate(r, order[m], "order")
		printf " %s |\n", rate(r, "parallel", "input")
	}

	head("Where the time of chunks and their commits goes, parallel, percent:", parts, nr_parts)
	for (r = 1; r <= rows; r++) {
		all = 0
		for (p = 1; p <= nr_parts; p++)
			all += val[r, "parallel", "in_" parts[p]]
		if (!all)
			continue
		printf "| %s | %d |", guest[r], vcpus[r]
		for (p = 1; p <= nr_parts; p++)
			printf " %.1f |", 100 * val[r, "parallel", "in_" parts[p]] / all
		print ""
	}
}
