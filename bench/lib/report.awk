# report.awk: bench/RESULTS.md from the rows that rows.awk has read. Variables:
# plots (names of the SVG files that there are, without .svg, separated by
# blanks), output (where RESULTS.md goes).

END {
	if (wrong_rows > 0)
		exit 1
	for (r = 1; r <= runs; r++)
		compare_run(r)
	print "# event_store beside its peers\n"
	print "Made by `make bench` ([how](README.md)) from the rows in [`results/`](results); not edited by hand. [`BASELINES.md`](BASELINES.md) has event_store beside bare PostgreSQL.\n"
	summary()
	print_facts()
	for (g = 1; g <= groups; g++)
		print_group(group_name[g])
}

# ---------------------------------------------------------------------------
# Comparing
# ---------------------------------------------------------------------------

# Finds the nearest peer of each workload, the targets, and where a peer wins.
function compare_run(r,    w) {
	for (w = 1; w <= workloads; w++)
		if ((r, workload_name[w]) in has)
			compare_workload(r, workload_name[w])
}

function compare_workload(r, w,    n, p, i) {
	n = points_of(r, w)
	for (p = 1; p <= n; p++) {
		for (i = 1; i <= systems; i++)
			if (!is_own(system_name[i]))
				compare_point(r, w, point_list[p], system_name[i])
		compare_itself(r, w, point_list[p])
	}
}

# All points of a workload whose metric is compared: point_list[1..n].
function points_of(r, w,    n, m, c, s, ns, nc, nm, sync_list, metric_list) {
	n = 0
	ns = sync_order(r, w, sync_list)
	nc = combo_order(r, w)
	nm = split(workload_metrics[w], metric_list, ",")
	for (s = 1; s <= ns; s++)
		for (c = 1; c <= nc; c++)
			for (m = 1; m <= nm; m++)
				point_list[++n] = r SUBSEP w SUBSEP sync_list[s] SUBSEP combo_list[c] SUBSEP metric_list[m]
	return n
}

# synchronous_commit on comes first.
function sync_order(r, w, list,    n, i, t) {
	n = split(syncs[r, w], list, "\n") - 1
	for (i = 2; i <= n; i++)
		if (list[i] == "on") {
			t = list[1]
			list[1] = list[i]
			list[i] = t
		}
	return n
}

function compare_point(r, w, point, peer) {
	if (compared(point, peer) == 0)
		return
	note_ratio(r, w, point, peer, target_of(r, w, peer, point))
	if (is_baseline(peer))
		return
	if (peer_ahead())
		note_win(r SUBSEP w SUBSEP peer, substr(where_text(r, w, point), 3), noise_mark(point, peer, own))
	if (!((r, w) in nearest) || middle < nearest_ratio[r, w]) {
		nearest[r, w] = peer
		nearest_ratio[r, w] = middle
		nearest_text[r, w] = ratio_text() noise_mark(point, peer, own)
		nearest_where[r, w] = where_text(r, w, point)
	}
}

# Is a peer ahead? The ratio just made is in least, middle and most.
function peer_ahead() {
	return sprintf("%.2f", middle) + 0 < 1
}

# In every round, or in most of them only?
function note_win(key, where, mark) {
	if (!(key in win_seen)) {
		win_seen[key] = 1
		win_key[++win_count] = key
	}
	where = (where == "" ? "" : where ": ") ratio_text() mark
	if (sprintf("%.2f", most) + 0 < 1)
		wins_always[key] = joined(wins_always[key], where, "; ")
	else
		wins_mostly[key] = joined(wins_mostly[key], where, "; ")
}

# A target of the system "-" is about event_store's own growth.
function compare_itself(r, w, point,    base) {
	base = smallest_point(r, w, point)
	if (base == "" || compared_points(point, base, "event_store") == 0)
		return
	note_ratio(r, w, point, "-", target_of(r, w, "-", point))
}

# The same point with the least parameter, for workloads of the group Growth.
function smallest_point(r, w, point,    n, i, parts, c) {
	if (workload_group[w] != "Growth")
		return ""
	split(point, parts, SUBSEP)
	n = combo_order(r, w)
	for (i = 1; i <= n; i++) {
		split(combo_list[i], c, SUBSEP)
		if (c[1] == parts[4])
			break
	}
	if (i > n || c[2] == parts[5])
		return ""
	return r SUBSEP w SUBSEP parts[3] SUBSEP c[1] SUBSEP c[2] SUBSEP parts[6]
}

function note_ratio(r, w, point, peer, to_reach) {
	if (to_reach == "")
		return
	target_at[point, peer] = to_reach
	if (sprintf("%.2f", middle) + 0 >= to_reach + 0) {
		reached[r, w]++
		reached_all++
	} else {
		missed[r, w]++
		missed_all++
		missed_at[point, peer] = 1
		if (to_reach + 0 != 1)
			misses[++miss_count] = run_text(r) workload_of(w) where_text(r, w, point) ": " \
			(peer == "-" ? "against itself with the fewest events" : peer) ", " ratio_text() \
			noise_mark(point, peer == "-" ? own : peer, own) ", to reach " to_reach
	}
}

# "#target workload system ratio [where]": where names client counts, metrics,
# parameters or settings of sync (sync=on); without it every point but the maximum
# counts. Where nothing is said, event_store has to be level with a peer; rates
# beside other metrics (appends at a fixed rate) need not be.
function target_of(r, w, peer, point,    lines, n, i, f, parts, found) {
	n = split(targets[r, w, peer], lines, "\n") - 1
	split(point, parts, SUBSEP)
	if (n <= 0)
		return peer == "-" || is_baseline(peer) || parts[6] == "max" || (parts[6] == "rate" && workload_metrics[w] ~ /,/) ? "" : 1
	found = ""
	for (i = 1; i <= n; i++) {
		split(lines[i], f, FS)
		if (f[2] == "" ? parts[6] != "max" : in_list(f[2], parts[4]) || in_list(f[2], parts[5]) ||
		    in_list(f[2], parts[6]) || in_list(f[2], "sync=" parts[3]))
			found = f[1]
	}
	return found
}

function in_list(list, item) {
	return index("," list ",", "," item ",") > 0
}

# ---------------------------------------------------------------------------
# Words
# ---------------------------------------------------------------------------

function run_text(r) {
	return runs > 1 ? run_label[r] ", " : ""
}

function workload_of(w) {
	return "`" w "`"
}

function cell_text(text) {
	gsub(/\|/, "\\|", text)
	return text
}

function clients_text(c) {
	return c == "" || c == "-" ? "" : c == 1 ? "1 client" : c " clients"
}

function parameter_text(p) {
	return p == "" || p == "-" ? "" : power(p) (parameter_number(p) >= 1e4 ? " events" : "")
}

function combo_text(c, p,    a, b) {
	a = clients_text(c)
	b = parameter_text(p)
	return a b == "" ? "" : a == "" ? b : b == "" ? a : a ", " b
}

# Where in a workload a point is, as far as there is more than one place.
function where_text(r, w, point,    parts, list, text) {
	split(point, parts, SUBSEP)
	text = combo_text(parts[4], parts[5])
	if (workload_metrics[w] ~ /,/)
		text = join(metric_text(w, parts[6]), text)
	if (split(syncs[r, w], list, "\n") > 2)
		text = join(text, "sync " parts[3])
	return text == "" ? "" : ", " text
}

function join(a, b) {
	return joined(a, b, ", ")
}

function joined(a, b, between) {
	return a == "" ? b : b == "" ? a : a between b
}

function metric_text(w, metric) {
	return metric == "max" ? "maximum" : metric == "bytes" ? "bytes on disk" : metric == "wal" ? "bytes of WAL" : \
		metric == "behind" ? "events behind" : metric == "lost" ? "events never got" : metric == "rate" ? workload_unit[w] : metric
}

function value_text(metric,    a, b) {
	a = number(least, metric)
	b = number(most, metric)
	return number(middle, metric) (a == b ? "" : " (" a "–" b ")")
}

function ratio_text(    a, b) {
	a = ratio(least)
	b = ratio(most)
	return ratio(middle) (a == b ? "" : " (" a "–" b ")")
}

function noise_mark(point, a, b) {
	if (noisy(point, a) + (b == "" ? 0 : noisy(point, b)) == 0)
		return ""
	noise_seen = 1
	return " ~"
}

# ---------------------------------------------------------------------------
# Summary and facts
# ---------------------------------------------------------------------------

function summary(    r, w, i, name) {
	print "## Summary\n"
	print "Ratios say how many times as good event_store is as the other system: its rate by theirs, or their time or bytes by its. More than 1 is better, less than 1 is worse (**bold**)."
	print "A ratio is the median of the ratios within each round, with the least and the greatest in brackets. The table has the least ratio of each workload, whatever the peer and the number of clients.\n"
	printf "Ratios to reach: %d reached, %d missed. Where no other ratio is to be reached it is 1: level or ahead.\n\n", reached_all, missed_all
	if (fact[1, "quick"] > 0)
		print "This was a quick run: too short to judge by.\n"
	print "| " (runs > 1 ? "run | " : "") "workload | nearest peer | ratio | where | ratios reached |"
	print "|" (runs > 1 ? "---|" : "") "---|---|---|---|---|"
	for (r = 1; r <= runs; r++)
		for (w = 1; w <= workloads; w++) {
			name = workload_name[w]
			if (!((r, name) in has))
				continue
			print "| " (runs > 1 ? run_label[r] " | " : "") summary_row(r, name) " |"
		}
	print "\n### Where a peer wins\n"
	print_wins()
	if (miss_count > 0)
		print "\n### What else is not reached\n"
	for (i = 1; i <= miss_count; i++)
		print "- " misses[i]
	print ""
}

function print_wins(    i, n, parts) {
	n = 0
	for (i = 1; i <= win_count; i++)
		if (win_key[i] in wins_always) {
			split(win_key[i], parts, SUBSEP)
			print "- " run_text(parts[1]) workload_of(parts[2]) ", " parts[3] ": " wins_always[win_key[i]]
			n++
		}
	if (n == 0)
		print "Nowhere in every round."
	n = 0
	for (i = 1; i <= win_count; i++)
		if (win_key[i] in wins_mostly) {
			split(win_key[i], parts, SUBSEP)
			if (!n++)
				print "\nIn most rounds, but not in all:\n"
			print "- " run_text(parts[1]) workload_of(parts[2]) ", " parts[3] ": " wins_mostly[win_key[i]]
		}
}

function summary_row(r, w,    all, text) {
	all = reached[r, w] + missed[r, w]
	text = "`" w "`: " cell_text(workload_title[w]) " | "
	if ((r, w) in nearest)
		text = text nearest[r, w] " | " \
			(sprintf("%.2f", nearest_ratio[r, w]) + 0 < 1 ? "**" nearest_text[r, w] "**" : nearest_text[r, w]) \
			" | " substr(nearest_where[r, w], 3)
	else
		text = text "– | – | "
	return text " | " (all == 0 ? "" : missed[r, w] == 0 ? "yes: " all " of " all : "**no**: " reached[r, w] + 0 " of " all)
}

function print_facts(    i, r, key, text, same) {
	print "## What was measured, and where\n"
	for (i = 1; i <= fact_keys; i++) {
		key = fact_key[i]
		if (key == "quick")
			continue
		same = 1
		for (r = 2; r <= runs; r++)
			if (fact[r, key] != fact[1, key])
				same = 0
		text = same ? fact[1, key] : ""
		for (r = 1; !same && r <= runs; r++)
			if (fact[r, key] != "")
				text = joined(text, fact[r, key] (key == "postgresql" ? "" : " (" run_label[r] ")"), "; ")
		print "- " fact_title(key) ": " text
	}
	print "- Cells: median (least–greatest) of the rounds. `~`: in a round or more of it, processes that do not belong to the measurement used more than 5 % of the CPU. `–`: not measured, because the system cannot do it or has no file for it."
	print_systems()
	print_left_out()
}

function fact_title(key,    t) {
	gsub(/_/, " ", key)
	if (key == "postgresql")
		return "PostgreSQL"
	return toupper(substr(key, 1, 1)) substr(key, 2)
}

function print_systems(    i, r, text, what) {
	print "\n| system | version | what it is |"
	print "|---|---|---|"
	for (i = 1; i <= systems; i++) {
		text = ""
		for (r = 1; r <= runs; r++)
			if ((r, system_name[i]) in system_version && index("; " text "; ", "; " system_version[r, system_name[i]] "; ") == 0)
				text = joined(text, system_version[r, system_name[i]], "; ")
		what = system_text[system_name[i]]
		if (model_text[system_name[i]] != "")
			what = joined(what, "read model: " model_text[system_name[i]], "; ")
		if (text what != "" || system_name[i] !~ /\)$/)
			print "| " system_name[i] " | " cell_text(text) " | " cell_text(what) " |"
	}
}

function print_left_out(    r, n, i, lines, f, any) {
	for (r = 1; r <= runs; r++) {
		n = split(left_out[r], lines, "\n") - 1
		for (i = 1; i <= n; i++) {
			if (!any++)
				print "\nLeft out:\n"
			split(lines[i], f, FS)
			print "- " (runs > 1 ? run_label[r] ": " : "") f[1] ": " f[2]
		}
	}
}

# ---------------------------------------------------------------------------
# Sections
# ---------------------------------------------------------------------------

function print_group(group,    w, r, headed, name) {
	headed = 0
	for (w = 1; w <= workloads; w++) {
		name = workload_name[w]
		if (workload_group[name] != group || !has_any(name))
			continue
		if (!headed++) {
			print "\n## " group
			print_plots(group)
		}
		print "\n### `" name "`: " workload_title[name]
		for (r = 1; r <= runs; r++)
			if ((r, name) in has)
				print_workload(r, name)
		if (name in limit)
			print "\n" limit[name]
	}
}

function has_any(w,    r) {
	for (r = 1; r <= runs; r++)
		if ((r, w) in has)
			return 1
	return 0
}

# Which picture belongs to which section, and its text for who cannot see it.
function print_plots(group) {
	if (group == "Appending") {
		print_plot("throughput", "Appends of one event a second, by system and number of clients")
		print_plot("batches", "Events a second by events a call")
	} else if (group == "Latency")
		print_plot("latency", "Time from the commit to a consumer and to a read model")
	else if (group == "A long transaction")
		print_plot("stall", "Events that a consumer has not got while a transaction is idle")
	else if (group == "Read models")
		print_plot("rebuild", "Read models: kept up to date, caught up, built anew")
	else if (group == "Growth")
		print_plot("growth", "Time an operation takes as the store grows")
}

function print_plot(name, text,    n, i, list) {
	n = split(plots, list, " ")
	for (i = 1; i <= n; i++)
		if (list[i] == name || index(list[i], name "-") == 1)
			print "\n![" text "](results/" list[i] ".svg)"
}

# One workload in one run: a table for each setting of synchronous_commit, and
# for each number of clients where several metrics are the columns.
function print_workload(r, w,    ns, s, heading, sync_list) {
	ns = sync_order(r, w, sync_list)
	for (s = 1; s <= ns; s++) {
		heading = join(runs > 1 ? run_label[r] : "", ns > 1 ? "synchronous_commit " sync_list[s] : "")
		if (workload_metrics[w] ~ /,/)
			print_by_metric(r, w, sync_list[s], heading)
		else
			print_by_combo(r, w, sync_list[s], heading)
		print_details(r, w, sync_list[s])
	}
}

function print_by_combo(r, w, sync, heading,    n, i) {
	n = combo_order(r, w)
	column_count = 0
	for (i = 1; i <= n; i++)
		add_column(r SUBSEP w SUBSEP sync SUBSEP combo_list[i] SUBSEP workload_metrics[w])
	print_tables(r, w, heading, join(workload_unit[w], name_columns()))
}

# Clients that are the same in all columns are said once, before them: returns
# these words.
function name_columns(    i, parts, first) {
	for (i = 1; i <= column_count; i++) {
		split(column[i], parts, SUBSEP)
		if (i == 1)
			first = parts[4]
		if (column_count == 1 || parts[4] != first || parameter_text(parts[5]) == "")
			first = ""
		if (column_title[i] == "")
			column_title[i] = "all"
	}
	first = clients_text(first)
	for (i = 1; first != "" && i <= column_count; i++) {
		split(column[i], parts, SUBSEP)
		column_title[i] = parameter_text(parts[5])
	}
	return first
}

function print_by_metric(r, w, sync, heading,    n, i, m, nm, point, parts, metric_list) {
	nm = split(workload_metrics[w], metric_list, ",")
	n = combo_order(r, w)
	for (i = 1; i <= n; i++) {
		column_count = 0
		for (m = 1; m <= nm; m++) {
			point = r SUBSEP w SUBSEP sync SUBSEP combo_list[i] SUBSEP metric_list[m]
			if (!measured_at(point))
				continue
			column[++column_count] = point
			column_title[column_count] = metric_text(w, metric_list[m])
		}
		split(combo_list[i], parts, SUBSEP)
		print_tables(r, w, join(heading, combo_text(parts[1], parts[2])), workload_metrics[w] ~ /p50/ ? "ms" : "system")
		# combo_order() was called by others since
		combo_order(r, w)
	}
}

function measured_at(point,    i) {
	for (i = 1; i <= systems; i++)
		if ((point, system_name[i]) in rounds)
			return 1
	return 0
}

# What was measured, then the ratios, of the columns that are set up.
function print_tables(r, w, heading, unit,    i) {
	if (column_count == 0)
		return
	noise_seen = 0
	if (heading != "")
		print "\n**" heading "**"
	print ""
	print table_head(unit, "")
	for (i = 1; i <= systems; i++)
		if ((r, workload_group[w], system_name[i]) in in_group)
			print value_row(system_name[i])
	print_ratios(r, w)
	print_winners()
	if (noise_seen)
		print "\n`~` other programs were running in some of the rounds."
}

function table_head(first, last,    i, names, line) {
	names = "| " first " |"
	line = "|---|"
	for (i = 1; i <= column_count; i++) {
		names = names " " column_title[i] " |"
		line = line "--:|"
	}
	if (last != "") {
		names = names " to reach | reached |"
		line = line "---|---|"
	}
	return names "\n" line
}

function value_row(sys,    i, text) {
	text = "| " (sys == "event_store" ? "**event_store**" : sys) " |"
	for (i = 1; i <= column_count; i++)
		if (measured(column[i], sys) == 0)
			text = text " – |"
		else
			text = text " " value_text(metric_of(column[i])) noise_mark(column[i], sys, "") " |"
	return text
}

function print_ratios(r, w,    i) {
	print_ratios_of(r, w, "event_store")
	for (i = 2; i <= systems; i++)
		if (is_own(system_name[i]) && detail_exists(system_name[i]))
			print_ratios_of(r, w, system_name[i])
	own = "event_store"
}

function print_ratios_of(r, w, whose,    i, headed, sys) {
	headed = 0
	own = whose
	for (i = 1; i <= systems + 1; i++) {
		sys = i > systems ? "-" : system_name[i]
		if (is_own(sys) || (sys == "-" && whose != "event_store") || !row_exists(r, w, sys))
			continue
		if (!headed++) {
			print ""
			print table_head(whose " against", whose == "event_store" ? "targets" : "")
		}
		print ratio_row(r, w, sys)
	}
}

# Is there a ratio in any column? Leaves it in middle, least and most.
function column_ratio(r, w, i, sys,    base) {
	if (sys != "-")
		return compared(column[i], sys)
	base = smallest_point(r, w, column[i])
	return base == "" ? 0 : compared_points(column[i], base, "event_store")
}

function row_exists(r, w, sys,    i) {
	for (i = 1; i <= column_count; i++)
		if (column_ratio(r, w, i, sys) > 0)
			return 1
	return 0
}

function ratio_row(r, w, sys,    i, text, cell, where, goals, goal, missing) {
	text = "| " (sys == "-" ? "itself with the fewest events" : sys) " |"
	goals = missing = ""
	for (i = 1; i <= column_count; i++) {
		if (column_ratio(r, w, i, sys) == 0) {
			text = text " – |"
			continue
		}
		cell = ratio_text()
		if (sys != "-" && peer_ahead())
			cell = "**" cell "**"
		text = text " " cell noise_mark(column[i], own, sys) " |"
		if (own == "event_store" && (column[i], sys) in target_at) {
			goal = target_at[column[i], sys]
			if (index(", " goals ", ", ", " goal ", ") == 0)
				goals = join(goals, goal)
			if ((column[i], sys) in missed_at)
				missing = join(missing, column_title[i])
		}
	}
	if (own != "event_store")
		return text
	return text " " goals " | " (goals == "" ? "" : missing == "" ? "yes" : "**no**: " missing) " |"
}

function print_winners(    i, k, always, mostly, text) {
	for (k = 2; k <= systems; k++) {
		if (is_own(system_name[k]))
			continue
		always = mostly = ""
		for (i = 1; i <= column_count; i++) {
			if (compared(column[i], system_name[k]) == 0 || !peer_ahead())
				continue
			text = (column_title[i] == "all" ? "" : column_title[i] ": ") ratio(middle)
			if (sprintf("%.2f", most) + 0 < 1)
				always = join(always, text)
			else
				mostly = join(mostly, text)
		}
		if (always != "")
			print "\n**" system_name[k] (is_baseline(system_name[k]) ? " is ahead" : " wins") "** (" always ")."
		if (mostly != "")
			print "\n**" system_name[k] " is ahead in most rounds**, not in all (" mostly ")."
	}
}

# Metrics that are not compared: CPU, latencies beside a rate.
function print_details(r, w, sync,    n, m, nc, c, all, any) {
	n = split(metrics_of[r, w], all, "\n") - 1
	any = 0
	for (m = 1; m <= n; m++) {
		if (in_list(workload_metrics[w], all[m]) || !((r, w, sync, all[m]) in has))
			continue
		if (!any++)
			print "\n<details><summary>" detail_text(all, n, w) "</summary>"
		nc = combo_order(r, w)
		column_count = 0
		for (c = 1; c <= nc; c++)
			add_column(r SUBSEP w SUBSEP sync SUBSEP combo_list[c] SUBSEP all[m])
		print "\n" table_head(join(detail_name(all[m]), name_columns()), "")
		for (c = 1; c <= systems; c++)
			if (detail_exists(system_name[c]))
				print value_row(system_name[c])
	}
	if (any)
		print "\n</details>"
}

function add_column(point,    parts) {
	if (!measured_at(point))
		return
	split(point, parts, SUBSEP)
	column[++column_count] = point
	column_title[column_count] = combo_text(parts[4], parts[5])
}

function detail_exists(sys,    i) {
	for (i = 1; i <= column_count; i++)
		if ((column[i], sys) in rounds)
			return 1
	return 0
}

function detail_name(metric) {
	return metric == "cpu" ? "server's CPU, µs a unit" : metric ~ /^(p[0-9]+|max)$/ ? metric " in ms" : metric == "late" ? "ms until it shows the last one" : metric
}

function detail_text(all, n, w,    m, text) {
	for (m = 1; m <= n; m++)
		if (!in_list(workload_metrics[w], all[m]))
			text = join(text, detail_name(all[m]))
	return text
}
