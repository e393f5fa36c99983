# Lines of the table of settings_values(), from its slices: value, round, calls,
# seconds, microseconds of CPU, and what else was counted.
function sorted(a, n,    i, j, t) {
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
}
function median(a, n) {
	sorted(a, n)
	return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
function number(x) { return sprintf(x < 100 ? "%.1f" : "%.0f", x) }
{
	rounds = $2 > rounds ? $2 : rounds
	rate[$1, $2] = $3 * units / $4
	cpu[$1, $2] = $5 / $3 / units
	note[$1, $2] = $6
	noted += $6 != ""
}
END {
	n = split(values, value, " ")
	for (v = 1; v <= n; v++) {
		for (r = 1; r <= rounds; r++) {
			a[r] = rate[value[v], r]
			ratio[r] = rate[value[1], r] > 0 ? a[r] / rate[value[1], r] : 0
			c[r] = cpu[value[v], r]
			cpu_ratio[r] = cpu[value[1], r] > 0 ? c[r] / cpu[value[1], r] : 0
			x[r] = note[value[v], r] + 0
		}
		m = median(ratio, rounds)
		first = v == 1 ? "1" : sprintf("%.2f (%.2f–%.2f)", m, ratio[1], ratio[rounds])
		first_cpu = v == 1 ? "1" : sprintf("%.2f", median(cpu_ratio, rounds))
		printf "| %s | %s | %s | %d | %s | %s | %s | %s | %s |\n", name, value[v], sync, clients,
			number(median(a, rounds)), first, number(median(c, rounds)), first_cpu,
			noted ? number(median(x, rounds)) " " unit : ""
	}
}
