# shellcheck shell=bash disable=SC2034,SC2154
#
# report.sh: the result as Markdown on standard output.

rows_reached=0
rows_missed=0
errors_met=0

# Everything that the figures depend on.
report_machine() {
	local memory

	memory=$(awk '/^MemTotal/ { printf "%.0f GB", $2 / 1048576 }' /proc/meminfo)
	cat <<-END
		# event_store benchmark

		- Machine: $cores cores, $memory, Linux $(uname -r), load average $(cut -d ' ' -f 1 /proc/loadavg) at the start
		- PostgreSQL: $(database=bench_empty sql -c 'SELECT version()')
		- event_store: $(database=bench_empty sql -c 'SELECT es_version()')
		- Settings: $(printf '%s, ' "${server_settings[@]}" | sed 's/, $//'); otherwise PostgreSQL's defaults (fsync, full_page_writes on)
		- Event: ${#event_data} bytes of data, ${#event_metadata} of metadata
		- $rounds pairs of slices in alternation, $seconds s a slice (COPY: half as many pairs); medians, least and greatest in brackets

		The ratio is that of the rates, event_store's to the baseline's: greater is better. CPU is the server's, all
		its processes together, per unit; its ratio is event_store's to the baseline's: less is better.
	END
}

report_heading() {
	printf '\n## %s\n\n' "$1"
}

# Head of the table for compare().
report_table() {
	cat <<-END
		| work | sync | clients | protocol | baseline /s | event_store /s | ratio | to reach | reached | baseline µs CPU | event_store µs CPU | CPU ratio |
		|---|---|--:|---|--:|--:|--:|--:|---|--:|--:|--:|
	END
}

report_comparison() {
	local line

	line=$(awk -v title="$1" -v target="$2" -v units="$3" -v sync="$sync" -v clients="$clients" -v protocol="$protocol" '
		function sorted(a, n,    i, j, t) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
		}
		function median(a, n) {
			sorted(a, n)
			return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
		}
		function rate(x) { return sprintf(x < 100 ? "%.1f" : "%.0f", x) }
		$2 == 0 { next }
		{ n = $2 }
		$1 == "base" { base[$2] = $3 * units / $4; base_cpu[$2] = $5 / $3 / units }
		$1 == "ours" { ours[$2] = $3 * units / $4; ours_cpu[$2] = $5 / $3 / units }
		END {
			for (i = 1; i <= n; i++) {
				ratio[i] = ours[i] / base[i]
				cpu[i] = base_cpu[i] > 0 ? ours_cpu[i] / base_cpu[i] : 0
			}
			m = median(ratio, n)
			c = median(cpu, n)
			reached = target == "-" ? "" : sprintf("%.2f", m) + 0 >= target ? "yes" : "**no**"
			printf "| %s | %s | %d | %s | %s | %s | %.2f (%.2f–%.2f) | %s | %s | %.1f | %.1f | %.2f (%.2f–%.2f) |\n",
				title, sync, clients, protocol, rate(median(base, n)), rate(median(ours, n)),
				m, ratio[1], ratio[n], target == "-" ? "" : target, reached,
				median(base_cpu, n), median(ours_cpu, n), c, cpu[1], cpu[n]
		}' "$slices")
	echo "$line"
	report_count "$line"
	errors_met=$((errors_met + ours_errors + base_errors))
}

# Counts a line of a table as reached or missed.
report_count() {
	case $1 in
		*'| yes |'*) rows_reached=$((rows_reached + 1)) ;;
		*'**no**'*) rows_missed=$((rows_missed + 1)) ;;
	esac
}

report_end() {
	printf '\n%d lines reached, %d not; clients that met an error: %d; load average %s at the end, %d s in all.\n' \
		"$rows_reached" "$rows_missed" "$errors_met" "$(cut -d ' ' -f 1 /proc/loadavg)" "$SECONDS"
}
