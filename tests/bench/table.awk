# SPDX-License-Identifier: GPL-2.0
# The lines of tests/bench/host.sh as tables, in Markdown.  compute="NAME..." says which
# of the rows are compute kernels.
BEGIN {
	# Are the decisions to go serial right?
	user_modes = "parallel serial always"
	user_others = "serial always"
	user_last = "parallel / the better of both"
	nr_parts = split("chunk spin lost page precommit wait commit sync section", parts)
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
	if (v["mode"] ~ /^icount/ || (v["mode"] == "replay" && last == "icount")) {
		if (!($2 in icount))
			icount_guest[++icounts] = $2
		icount[$2]
		last = v["mode"]
		for (name in v)
			icount[$2, last, name] = v[name]
		if (last == "replay")
			last = "icount"
		next
	}
	if (v["mode"] == "walk") {
		walked[++walks] = v["memory"] " | " v["pages"] " | " v["chunks"] + v["rollbacks"] \
			" | " sprintf("%.1f", v["in_precommit"] / (v["chunks"] + v["rollbacks"]) / 1e3)
		next
	}
	if (v["mode"] ~ /^exits:/) {
		if (!((v["kind"]) in exit_row)) {
			exit_row[v["kind"]]
			exit_kind[++exit_kinds] = v["kind"]
		}
		if ("exit_cost" in v)
			exit_cost = v["exit_cost"]
		exit_cycles[v["kind"], v["mode"], "exit_cost" in v] = v["cycles"]
		next
	}
	if (v["mode"] ~ /^compare/) {
		if (!($2 in comparing)) {
			comparing[$2]
			compare_guest[++compares] = $2
		}
		for (name in v)
			compare[$2, v["mode"], name] = v[name]
		next
	}
	key = $2 SUBSEP v["vcpus"]
	if (!(key in seen)) {
		seen[key] = ++rows
		guest[rows] = $2
		vcpus[rows] = v["vcpus"]
	}
	row = seen[key]
	mode = v["mode"]
	if ("exit_cost" in v) {
		exit_cost = v["exit_cost"]
		charged[row, mode] = v["cycles"]
		next
	}
	if (mode == "preplay") {
		preplay[row, last] = v["took"]
		next
	}
	if (mode == "replay") {
		replay[row, last] = v["took"]
		replayed[row, last] = v["insns"]
		next
	}
	last = mode
	for (name in v)
		if (name != "cycles" || !val[row, mode, name] || v[name] < val[row, mode, name])
			val[row, mode, name] = v[name]
	if (mode != "native" && mode != "unpatched" && mode != "always" && !(mode in modes)) {
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
# All compute kernels together: the bytes of them all, in the time of them all.
function all_rates(    c, m, r, bytes, took)
{
	for (r = 1; r <= rows; r++)
		for (m = 1; m <= nr_modes && guest[r] in is_compute; m++) {
			bytes[vcpus[r], m] += val[r, order[m], "order"]
			took[vcpus[r], m] += val[r, order[m], "took"]
		}
	for (c = 1; c <= 64; c++) {
		if (!took[c, 1])
			continue
		printf "| compute kernels | %d | | | |", c
		for (m = 1; m <= nr_modes; m++)
			printf " %.2f |", bytes[c, m] / took[c, m] / 10 / c
		print " |"
	}
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
function cell(x) { return x ? sprintf(" %.2f |", x) : " - |" }
# A column of a row, which counts for the mean, if it is not of threads that do nothing else
# than wait.
function add(r, column, x)
{
	if (x && guest[r] !~ /^pass-/) {
		sum[vcpus[r], column] += log(x)
		count[vcpus[r], column]++
	}
	return cell(x)
}
# @name, and what stands in the columns before the @n that have a mean.
function means(name, before, n,    c, i)
{
	for (c = 1; c <= 64; c++) {
		if (!count[c, 1])
			continue
		printf "| %s | %d |%s", name, c, before
		for (i = 1; i <= n; i++)
			if (count[c, i])
				printf " %.2f |", exp(sum[c, i] / count[c, i])
			else
				printf " - |"
		print ""
	}
}
# Exits of a run by kind: the basic reasons' numbers, or those that are in no list.
function exits(r, mode, reasons,    i, n, list, sum)
{
	if (!val[r, mode, "insns"])
		return "-"
	if (reasons == "all") {
		for (i = 0; i < 80; i++)
			sum += val[r, mode, "exit_" i]
		return sum
	}
	n = split(reasons, list, " ")
	for (i = 1; i <= n; i++)
		sum += val[r, mode, "exit_" list[i]]
	return sum + 0
}
function table_exits(    r, k, n, names, nr_kinds, kinds, all, sum, x)
{
	n = split("EPT violation|RDTSC|interrupt, NMI, #DB|PAUSE|I/O|other", names, "|")
	nr_kinds = split("48 49|16 51|0 1 7 8|40|30", kinds, "|")
	names[++n] = "not recording, all"
	for (k = 1; k <= nr_modes; k++)
		if (order[k] != "parallel")
			names[++n] = order[k] ", all"
	head("VM exits of the parallel recording, by kind, and of the others:", names, n)
	for (r = 1; r <= rows; r++) {
		if (!own_run(r))
			continue
		printf "| %s | %d |", guest[r], vcpus[r]
		all = exits(r, "parallel", "all")
		sum = 0
		for (k = 1; k <= nr_kinds; k++) {
			x = exits(r, "parallel", kinds[k])
			sum += x
			printf " %s |", x
		}
		printf " %s | %s |", all == "-" ? "-" : all - sum, exits(r, "native", "all")
		for (k = 1; k <= nr_modes; k++)
			if (order[k] != "parallel")
				printf " %s |", exits(r, order[k], "all")
		print ""
	}
}
function table_charged(    r, m, n, names, x)
{
	delete sum
	delete count
	if (!exit_cost)
		return
	names[n = 1] = "not recording, M cycles"
	for (m = 1; m <= nr_modes; m++)
		if (order[m] != "crew")
			names[++n] = order[m]
	head("Time if each VM exit takes " exit_cost " cycles more, divided by that of not " \
	     "recording, exits taking as long:", names, n)
	for (r = 1; r <= rows; r++) {
		if (!charged[r, "native"])
			continue
		printf "| %s | %d | %.1f |", guest[r], vcpus[r], charged[r, "native"] / 1e6
		for (m = 2; m <= n; m++) {
			x = charged[r, names[m]] / charged[r, "native"]
			printf "%s", (guest[r] in is_compute) ? add(r, m - 1, x) : cell(x)
		}
		print ""
	}
	means("geometric mean, compute kernels", " |", n - 1)
}
function table_kinds(    i, charge, m, n, modes)
{
	if (!exit_kinds)
		return
	n = split("native always serial", modes, " ")
	printf "\nCycles that an exit takes, 2 vCPUs, the exit itself charged with 1 and with %d:\n\n" \
	       "| exit | native | parallel, adaptive=0 | serial | native, %d | parallel | serial |\n" \
	       "|---|--:|--:|--:|--:|--:|--:|\n", exit_cost, exit_cost
	for (i = 1; i <= exit_kinds; i++) {
		printf "| %s |", exit_kind[i]
		for (charge = 0; charge < 2; charge++)
			for (m = 1; m <= n; m++)
				printf " %s |", exit_cycles[exit_kind[i], "exits:" modes[m], charge]
		print ""
	}
}
# Bytes of a kind of log for each million instructions of the guest.
function density(r, mode, kind,    insns)
{
	insns = replayed[r, mode] ? replayed[r, mode] : val[r, mode, "insns"]
	if (!insns || !val[r, mode, kind])
		return "-"
	return sprintf("%.1f", val[r, mode, kind] / (insns / 1e6))
}
function table_density(    r, m, n, names, insns)
{
	names[n = 1] = "M instructions"
	for (m = 1; m <= nr_modes; m++)
		names[++n] = order[m]
	names[++n] = "input"
	head("Instructions of the parallel recording; order log of each mode and input log of " \
	     "the parallel one, compressed bytes per million instructions:", names, n)
	for (r = 1; r <= rows; r++) {
		if (!own_run(r))
			continue
		insns = replayed[r, "parallel"]
		printf "| %s | %d | %s |", guest[r], vcpus[r],
			insns ? sprintf("%.1f", insns / 1e6) : "-"
		for (m = 1; m <= nr_modes; m++)
			printf " %s |", density(r, order[m], "order")
		printf " %s |\n", density(r, "parallel", "input")
	}
}
function table_walk(    i)
{
	if (!walks)
		return
	printf "\nReading the accessed flags, 2 vCPUs, parallel:\n\n" \
	       "| guest memory, MB | pages in use, of each vCPU | chunks | pre-commit, K cycles a chunk |\n" \
	       "|--:|--:|--:|--:|\n"
	for (i = 1; i <= walks; i++)
		print "| " walked[i] " |"
}
function table_compare(    i, g)
{
	if (!compares)
		return
	printf "\nWithout comparing copies with originals (compare=0), and with; 2 vCPUs, " \
	       "parallel without serial phases:\n\n" \
	       "| guest | time, without / with | rollbacks without | with | chunks without | with |\n" \
	       "|---|--:|--:|--:|--:|--:|\n"
	for (i = 1; i <= compares; i++) {
		g = compare_guest[i]
		printf "| %s | %s |", g, ratio(compare[g, "compare0", "cycles"], compare[g, "compare1", "cycles"])
		printf " %s | %s | %s | %s |\n",
			compared(g, "compare0", "rollbacks"), compared(g, "compare1", "rollbacks"),
			compared(g, "compare0", "chunks"), compared(g, "compare1", "chunks")
	}
}
function compared(g, mode, name) { return (g, mode, name) in compare ? compare[g, mode, name] : "-" }
function seconds(hundredths) { return hundredths ? sprintf("%.2f", hundredths / 100) : "-" }
# Whole runs; of the native ones with more vCPUs, too: icount has no use for them.
function table_icount(    i, n, names, g, took, parallel, r, log_bytes)
{
	if (!icounts)
		return
	n = split("native, s|native, 2 vCPUs|parallel, 2 vCPUs|icount, s|icount/native|" \
		  "icount/native, 2 vCPUs|replay/record|KB per second|bytes per M instructions",
		  names, "|")
	head("QEMU's -icount rr=record, whole runs:", names, n)
	for (i = 1; i <= icounts; i++) {
		g = icount_guest[i]
		took = icount[g, "icount", "took"]
		log_bytes = icount[g, "icount", "stored"]
		r = seen[g, 2]
		printf "| %s | 1 | %s | %s | %s | %s |", g, seconds(icount[g, "icount-native", "took"]),
			seconds(val[r, "native", "took"]), seconds(val[r, "parallel", "took"]),
			seconds(took)
		printf " %s | %s | %s | %s | %s |\n", ratio(took, icount[g, "icount-native", "took"]),
			ratio(took, val[r, "native", "took"]),
			ratio(icount[g, "replay", "took"], took),
			took ? sprintf("%.2f", log_bytes / took / 10) : "-",
			took ? sprintf("%.1f", log_bytes * 1e6 / icount[g, "icount-native", "insns"]) : "-"
	}
}
# Which table a row belongs to.
function kind(r)
{
	if (guest[r] in is_compute)
		return "compute"
	if (guest[r] ~ /-futex$/)
		return "futex"
	if (guest[r] ~ /-(spin|pause)$/)
		return "spin"
	return "other"
}
# The least of the times of a row in these modes.
function least(r, among,    n, m, list, x, min)
{
	n = split(among, list, " ")
	for (m = 1; m <= n; m++) {
		x = val[r, list[m], "cycles"]
		if (x && (!min || x < min))
			min = x
	}
	return min
}
# The rows of a kind in these modes, and how parallel compares with the best of others.
function times(of, what, columns, others, last_head,    n, m, nr, list, r, line, shown, x)
{
	delete sum
	delete count
	n = split("native, M cycles/patched, not recording", names, "/")
	nr = split(columns, list, " ")
	for (m = 1; m <= nr; m++)
		names[++n] = list[m] == "always" ? "adaptive=0" : list[m]
	names[++n] = last_head
	for (r = 1; r <= rows; r++) {
		if (kind(r) != of || !base(r))
			continue
		if (!shown++)
			head(what ": time, divided by that with unpatched modules:", names, n)
		line = ""
		for (m = 1; m <= nr; m++)
			line = line add(r, m, val[r, list[m], "cycles"] / base(r))
		x = least(r, others)
		line = line add(r, nr + 1, x ? val[r, "parallel", "cycles"] / x : 0)
		printf "| %s | %d | %.1f | %s |%s\n", guest[r], vcpus[r], base(r) / 1e6,
			ratio(val[r, "native", "cycles"], base(r)), line
	}
	means("geometric mean", " | |", nr + 1)
}
END {
	for (m = 1; m <= nr_modes; m++)
		all_modes = all_modes " " order[m]
	times("compute", "Compute kernels", all_modes, "serial", "parallel / serial")
	times("other", "Kernel-heavy and worst cases", all_modes, "serial", "parallel / serial")
	times("futex", "Threads in user mode that sleep (futex)", user_modes, user_others, user_last)
	times("spin", "Threads in user mode that wait in loops, without and with PAUSE",
	      user_modes, user_others, user_last)
	table_charged()
	table_kinds()

	n = 0
	for (m = 1; m <= nr_modes; m++)
		if (order[m] != "crew") {
			names[++n] = order[m]
			names[++n] = order[m] ", replayed serially"
		}
	head("Time of the replay, which is parallel if not otherwise said, whole runs, divided by that " \
	     "of the recording:", names, n)
	for (r = 1; r <= rows; r++) {
		if (!own_run(r))
			continue
		printf "| %s | %d |", guest[r], vcpus[r]
		for (m = 1; m <= nr_modes; m++)
			if (order[m] != "crew")
				printf " %s | %s |",
					ratio(preplay[r, order[m]], val[r, order[m], "took"]),
					ratio(replay[r, order[m]], val[r, order[m], "took"])
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
	all_rates()

	table_density()
	table_exits()

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
	table_walk()
	table_compare()
	table_icount()
}
