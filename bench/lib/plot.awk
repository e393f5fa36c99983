# plot.awk: the plots of bench/RESULTS.md as SVG, from the rows that rows.awk
# has read. Variable: directory (where they go). The first run's plots have
# plain names, those of the others end in "-" and the name of their file.
#
# event_store is always the strong blue line or bar; the others are muted, and
# have the same colour in all plots. A white rectangle lies below everything, so
# that dark pages show the same picture.

END {
	if (wrong_rows > 0)
		exit 1
	split("#b9a36a #7fa08a #b08a9e #8f8f8f #c79a7b #92a5b5 #a59a86 #9b9bb8 #6f8a8a", muted, " ")
	bar_label = 70
	split("8,3 4,2 9,3,3,3 6,2 3,3 12,3", dashes, " ")
	width = 740
	for (r = 1; r <= runs; r++) {
		plot_throughput(r)
		plot_batches(r)
		plot_models(r)
		plot_latency(r)
		plot_stall(r)
		plot_growth(r)
	}
}

# ---------------------------------------------------------------------------
# Drawing
# ---------------------------------------------------------------------------

function escaped(text) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/>/, "\\&gt;", text)
	return text
}

function begin_figure(title, subtitle) {
	body = ""
	put_text(16, 26, title, "start", 16, "#1a1a1a", "font-weight=\"600\"")
	put_text(16, 45, subtitle, "start", 12, "#555555", "")
}

function end_figure(r, name, height,    file) {
	file = directory "/" name (r > 1 ? "-" run_file[r] : "") ".svg"
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n", \
		width, height, width, height >file
	printf "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n%s</svg>\n", width, height, body >file
	close(file)
}

function put(text) {
	body = body text "\n"
}

function put_text(x, y, text, anchor, size, colour, more) {
	put(sprintf("<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" fill=\"%s\" text-anchor=\"%s\"%s>%s</text>", \
		x, y, size, colour, anchor, more == "" ? "" : " " more, escaped(text)))
}

function put_line(x1, y1, x2, y2, colour, thickness, more) {
	put(sprintf("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%s\"%s/>", \
		x1, y1, x2, y2, colour, thickness, more == "" ? "" : " " more))
}

function put_rect(x, y, w, h, colour) {
	put(sprintf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>", x, y, w, h, colour))
}

function put_circle(x, y, radius, fill, stroke) {
	put(sprintf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" stroke=\"%s\" stroke-width=\"1.5\"/>", x, y, radius, fill, stroke))
}

function put_curve(points, sys) {
	put(sprintf("<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" stroke-linejoin=\"round\"%s/>", \
		points, colour_of(sys), sys == "event_store" ? "3" : "2", \
		sys == "event_store" ? "" : " stroke-dasharray=\"" dashes[(system_number[sys] - 2) % 6 + 1] "\""))
}

function colour_of(sys) {
	return sys == "event_store" ? "#0b5fa5" : is_own(sys) ? "#7fb0da" : muted[(system_number[sys] - 2) % 9 + 1]
}

# Colour and weight of a system's words.
function ink(sys) {
	return sys == "event_store" ? "#0b5fa5" : "#444444"
}

function weight(sys) {
	return sys == "event_store" ? "font-weight=\"600\"" : ""
}

# A round step so that there are some four of them up to most.
function round_step(most_value, parts,    raw, base, f) {
	if (most_value <= 0)
		return 1
	raw = most_value / parts
	base = 10 ^ floor(log(raw) / log(10) + 1e-9)
	f = raw / base
	return (f <= 1 ? 1 : f <= 2 ? 2 : f <= 5 ? 5 : 10) * base
}

function floor(v) {
	return int(v) > v ? int(v) - 1 : int(v)
}

function log10(v) {
	return log(v) / log(10)
}

function short(v) {
	return v >= 1e6 ? v / 1e6 " M" : v >= 1000 ? v / 1000 "k" : v ""
}

# ---------------------------------------------------------------------------
# Choosing
# ---------------------------------------------------------------------------

# Where, and how often the rounds were done that a point has.
function facts_text(r, point,    n, list, text, i) {
	text = run_label[r]
	if (match(fact[r, "machine"], /[0-9]+ cores/))
		text = text ", " substr(fact[r, "machine"], RSTART, RLENGTH)
	n = 0
	for (i = 1; i <= systems && n == 0; i++)
		if ((point, system_name[i]) in rounds)
			n = split(rounds[point, system_name[i]], list, " ")
	return text (n > 1 ? "; medians of " n " rounds" : n == 1 ? "; one round" : "")
}

function point_at(r, w, sync, combo, metric) {
	return r SUBSEP w SUBSEP sync SUBSEP combo SUBSEP metric
}

# The settings of synchronous_commit of a workload, "on" first: panel[1..n].
function panels_of(r, w,    n) {
	n = split(syncs[r, w], panel, "\n") - 1
	if (n > 1 && panel[2] == "on") {
		panel[2] = panel[1]
		panel[1] = "on"
	}
	return n > 2 ? 2 : n
}

# The combination with the most clients at which event_store and most peers
# were measured.
function best_combo(r, w, sync,    n, i, k, c, found, best) {
	n = combo_order(r, w)
	best = 0
	found = ""
	for (i = 1; i <= n; i++) {
		c = 0
		for (k = 1; k <= systems; k++)
			if ((point_at(r, w, sync, combo_list[i], "rate"), system_name[k]) in rounds)
				c++
		if (c > 0 && c >= best) {
			best = c
			found = combo_list[i]
		}
	}
	return found
}

function combo_words(combo,    parts, t) {
	split(combo, parts, SUBSEP)
	t = parts[1] == "-" || parts[1] == "" ? "" : parts[1] == 1 ? "1 client" : parts[1] " clients"
	if (parts[2] != "-" && parts[2] != "")
		t = t (t == "" ? "" : ", ") power(parts[2])
	return t
}

# ---------------------------------------------------------------------------
# Bars
# ---------------------------------------------------------------------------

# Groups of bars: bar_title[1..bar_groups], bar_point[group, panel],
# bar_panels. bar_shared: one scale for all groups.
function begin_bars(panel_count, shared) {
	bar_groups = 0
	bar_panels = panel_count
	bar_shared = shared
}

function bar_group(title) {
	bar_title[++bar_groups] = title
	return bar_groups
}

# Draws them from y on; returns where they end.
function draw_bars(y, unit,    g, p, n, i, left, room, x0, s) {
	left = 16 + label_width()
	room = (width - 16 - left - (bar_panels - 1) * 20) / bar_panels
	for (g = 1; g <= bar_groups; g++) {
		put_text(16, y + 14, bar_title[g], "start", 12, "#1a1a1a", "font-weight=\"600\"")
		y += 22
		n = bar_systems(g)
		for (i = 1; i <= n; i++) {
			s = bar_system[i]
			put_text(left - 8, y + 12, s, "end", 12, ink(s), weight(s))
			for (p = 1; p <= bar_panels; p++) {
				x0 = left + (p - 1) * (room + 20)
				draw_bar(x0, y, room - bar_label, bar_point[g, p], s, bar_scale(g))
			}
			y += 18
		}
		for (p = 1; p <= bar_panels; p++) {
			x0 = left + (p - 1) * (room + 20)
			put_line(x0, y - n * 18, x0, y, "#888888", 1, "")
		}
		if (!bar_shared || g == bar_groups)
			y = draw_axis(left, room, y, bar_scale(g), unit)
		y += 8
	}
	return y
}

function draw_bar(x0, y, room, point, sys, most_value,    length_, a, b) {
	if (measured(point, sys) == 0) {
		put_text(x0 + 6, y + 12, "–", "start", 12, "#999999", "")
		return
	}
	length_ = room * middle / most_value
	a = room * least / most_value
	b = room * most / most_value
	put_rect(x0, y + 2, length_ < 1 ? 1 : length_, 13, colour_of(sys))
	if (b - a > 1.5)
		put_line(x0 + a, y + 8.5, x0 + b, y + 8.5, "#1a1a1a", 1, "")
	put_text(x0 + b + 6, y + 12.5, number(middle, "rate"), "start", 12, ink(sys), weight(sys))
}

function draw_axis(left, room, y, most_value, unit,    p, x0, v, step) {
	step = round_step(most_value, bar_panels > 1 ? 3 : 5)
	for (p = 1; p <= bar_panels; p++) {
		x0 = left + (p - 1) * (room + 20)
		put_line(x0, y, x0 + room - bar_label, y, "#888888", 1, "")
		for (v = 0; v <= most_value * 1.001; v += step) {
			put_line(x0 + (room - bar_label) * v / most_value, y, x0 + (room - bar_label) * v / most_value, y + 4, "#888888", 1, "")
			put_text(x0 + (room - bar_label) * v / most_value, y + 17, short(v), v == 0 ? "start" : "middle", 11, "#555555", "")
		}
		put_text(x0 + room, y + 17, unit, "end", 11, "#555555", "")
	}
	return y + 22
}

function label_width(    g, n, i, w) {
	w = 60
	for (g = 1; g <= bar_groups; g++) {
		n = bar_systems(g)
		for (i = 1; i <= n; i++)
			if (length(bar_system[i]) * 7.2 + 12 > w)
				w = length(bar_system[i]) * 7.2 + 12
	}
	return w
}

# The systems of a group, event_store first, then the quickest first:
# bar_system[1..n].
function bar_systems(g,    i, p, n, seen, k, rank, t) {
	n = 0
	for (i = 1; i <= systems; i++) {
		seen = 0
		for (p = 1; p <= bar_panels; p++)
			for (k = 1; k <= bar_groups; k++)
				if ((bar_shared || k == g) && measured(bar_point[k, p], system_name[i]) > 0) {
					seen = 1
					rank = middle
				}
		if (seen) {
			bar_system[++n] = system_name[i]
			bar_rank[n] = i == 1 ? 1e300 : rank
		}
	}
	for (i = 2; i <= n; i++)
		for (k = i; k > 1 && bar_rank[k] > bar_rank[k - 1]; k--) {
			t = bar_rank[k]; bar_rank[k] = bar_rank[k - 1]; bar_rank[k - 1] = t
			t = bar_system[k]; bar_system[k] = bar_system[k - 1]; bar_system[k - 1] = t
		}
	return n
}

function bar_scale(g,    k, p, i, top) {
	top = 0
	for (k = 1; k <= bar_groups; k++)
		for (p = 1; p <= bar_panels; p++)
			for (i = 1; i <= systems; i++)
				if ((bar_shared || k == g) && measured(bar_point[k, p], system_name[i]) > 0 && most > top)
					top = most
	return top > 0 ? top : 1
}

function panel_titles(y, panel_count,    p, left, room) {
	if (panel_count < 2)
		return y
	left = 16 + label_width()
	room = (width - 16 - left - (panel_count - 1) * 20) / panel_count
	for (p = 1; p <= panel_count; p++)
		put_text(left + (p - 1) * (room + 20), y + 12, "synchronous_commit " panel[p], "start", 12, "#555555", "")
	return y + 20
}

function whisker_text() {
	return "; the thin line is from the least to the greatest"
}

function plot_throughput(r,    n, c, p, g, pn) {
	if (!((r, "append_any") in has))
		return
	pn = panels_of(r, "append_any")
	begin_bars(pn, 1)
	n = combo_order(r, "append_any")
	for (c = 1; c <= n; c++) {
		g = bar_group(combo_words(combo_list[c]))
		for (p = 1; p <= pn; p++)
			bar_point[g, p] = point_at(r, "append_any", panel[p], combo_list[c], "rate")
	}
	begin_figure("Appends a second: one event, any version", facts_text(r, bar_point[1, 1]) whisker_text())
	end_figure(r, "throughput", draw_bars(panel_titles(54, pn), "events/s") + 6)
}

function plot_batches(r,    list, words, i, p, pn, g) {
	split("append_any append_10 append_100", list, " ")
	split("1 event a call|10 events a call|100 events a call", words, "|")
	if (!((r, list[1]) in has) || !((r, list[3]) in has))
		return
	pn = panels_of(r, list[3])
	begin_bars(pn, 1)
	for (i = 1; i <= 3; i++) {
		if (!((r, list[i]) in has))
			continue
		g = bar_group(words[i] ", " combo_words(best_combo(r, list[i], panel[1])))
		for (p = 1; p <= pn; p++)
			bar_point[g, p] = point_at(r, list[i], panel[p], best_combo(r, list[i], panel[1]), "rate")
	}
	begin_figure("Events a second, by events a call", facts_text(r, bar_point[1, 1]) whisker_text())
	end_figure(r, "batches", draw_bars(panel_titles(54, pn), "events/s") + 6)
}

function plot_models(r,    list, words, i, g) {
	split("append_view catch_up rebuild", list, " ")
	split("Appends with the read model kept up to date|Catching up|Building it anew", words, "|")
	begin_bars(1, 0)
	for (i = 1; i <= 3; i++) {
		if (!((r, list[i]) in has))
			continue
		panels_of(r, list[i])
		g = bar_group(words[i] " (" combo_words(best_combo(r, list[i], panel[1])) ")")
		bar_point[g, 1] = point_at(r, list[i], panel[1], best_combo(r, list[i], panel[1]), "rate")
	}
	if (bar_groups == 0)
		return
	begin_figure("A read model of 10,000 rows", facts_text(r, bar_point[1, 1]) whisker_text())
	end_figure(r, "rebuild", draw_bars(58, "events/s") + 6)
}

# ---------------------------------------------------------------------------
# Latency
# ---------------------------------------------------------------------------

function plot_latency(r,    y, w, n, c, lists, titles, s, pn) {
	if (!((r, "latency_log") in has) && !((r, "latency_view") in has))
		return
	split("latency_log latency_view", lists, " ")
	split("From the commit to a consumer|From the commit to the read model", titles, "|")
	latency_range(r, lists)
	w = (r, lists[1]) in has ? lists[1] : lists[2]
	panels_of(r, w)
	combo_order(r, w)
	begin_figure("Latency in milliseconds, logarithmic", facts_text(r, point_at(r, w, panel[1], combo_list[1], "p50")))
	y = latency_legend(66)
	for (w = 1; w <= 2; w++) {
		if (!((r, lists[w]) in has))
			continue
		pn = panels_of(r, lists[w])
		n = combo_order(r, lists[w])
		for (s = 1; s <= pn; s++)
			for (c = 1; c <= n; c++)
				y = latency_panel(r, lists[w], panel[s], combo_list[c], titles[w] \
					(n > 1 ? ", " combo_words(combo_list[c]) : "") (pn > 1 ? ", sync " panel[s] : ""), y)
	}
	end_figure(r, "latency", y + 4)
}

# The decades that all panels show.
function latency_range(r, lists,    w, s, c, m, i, n, pn, list) {
	lat_low = 1e9
	lat_high = 0
	lat_left = 130
	lat_right = 520
	split("p50 p95 p99 max", list, " ")
	for (w = 1; w <= 2; w++) {
		if (!((r, lists[w]) in has))
			continue
		pn = panels_of(r, lists[w])
		n = combo_order(r, lists[w])
		for (s = 1; s <= pn; s++)
			for (c = 1; c <= n; c++)
				for (m = 1; m <= 4; m++)
					for (i = 1; i <= systems; i++)
						if (measured(point_at(r, lists[w], panel[s], combo_list[c], list[m]), system_name[i]) > 0) {
							if (length(system_name[i]) * 7 + 30 > lat_left)
								lat_left = length(system_name[i]) * 7 + 30
							if (middle > 0 && middle < lat_low)
								lat_low = middle
							if (middle > lat_high)
								lat_high = middle
						}
	}
	lat_low = floor(log10(lat_low) + 1e-9)
	lat_high = -floor(-log10(lat_high) + 1e-9)
	if (lat_high <= lat_low)
		lat_high = lat_low + 1
}

function lat_x(v) {
	v = v <= 0 ? lat_low : log10(v)
	return lat_left + (lat_right - lat_left) * ((v < lat_low ? lat_low : v) - lat_low) / (lat_high - lat_low)
}

function latency_legend(y) {
	latency_marks(22, 36, 50, 64, y, "#555555")
	put_text(76, y + 4, "p50, p95, p99, maximum", "start", 12, "#555555", "")
	put_text(width - 16, y + 4, "p50 / p95 / p99 / max", "end", 12, "#555555", "")
	return y + 14
}

function latency_marks(a, b, c, d, y, colour) {
	put_line(a, y, d, y, colour, 1.5, "")
	put_line(a, y, b, y, colour, 4, "")
	put_line(c, y - 5, c, y + 5, colour, 2, "")
	put_circle(d, y, 3.5, "#ffffff", colour)
	put_circle(a, y, 4.5, colour, "#ffffff")
}

function latency_panel(r, w, sync, combo, title, y,    i, k, d, n, s, list, order, t) {
	n = 0
	for (i = 1; i <= systems; i++)
		if (measured(point_at(r, w, sync, combo, "p50"), system_name[i]) > 0) {
			order[++n] = system_name[i]
			for (k = n; k > 2 && middle < t[k - 1]; k--) {
				t[k] = t[k - 1]
				order[k] = order[k - 1]
			}
			t[k] = middle
			order[k] = system_name[i]
		}
	if (n == 0)
		return y
	put_text(16, y + 14, title, "start", 12, "#1a1a1a", "font-weight=\"600\"")
	y += 24
	for (d = lat_low; d <= lat_high; d++) {
		put_line(lat_x(10 ^ d), y, lat_x(10 ^ d), y + n * 20, "#dddddd", 1, "")
		put_text(lat_x(10 ^ d), y + n * 20 + 14, 10 ^ d >= 1000 ? 10 ^ (d - 3) " s" : 10 ^ d " ms", "middle", 11, "#555555", "")
	}
	split("p50 p95 p99 max", list, " ")
	for (i = 1; i <= n; i++) {
		s = order[i]
		put_text(lat_left - 12, y + 14, s, "end", 12, ink(s), weight(s))
		latency_row(r, w, sync, combo, s, list, y + 10)
		y += 20
	}
	return y + 26
}

function latency_row(r, w, sync, combo, sys, list, y,    m, x, text, last) {
	text = ""
	last = 0
	for (m = 1; m <= 4; m++) {
		if (measured(point_at(r, w, sync, combo, list[m]), sys) > 0) {
			last = middle
			text = text (m > 1 ? " / " : "") number(middle, "p50")
		} else
			text = text (m > 1 ? " / " : "") "–"
		x[m] = lat_x(last)
	}
	latency_marks(x[1], x[2], x[3], x[4], y, colour_of(sys))
	put_text(width - 16, y + 4, text, "end", 12, ink(sys), weight(sys))
}

# ---------------------------------------------------------------------------
# A long transaction
# ---------------------------------------------------------------------------

function plot_stall(r,    sync, combo, cell, y) {
	if (!((r, "stall") in has))
		return
	panels_of(r, "stall")
	combo_order(r, "stall")
	sync = panel[1]
	combo = combo_list[1]
	cell = r SUBSEP "stall" SUBSEP sync SUBSEP combo
	if (!stall_samples(cell))
		return
	begin_figure("Events that a consumer should have and has not got, beside an idle transaction", facts_text(r, cell SUBSEP "behind"))
	stall_lines(r, cell, 74, 230)
	y = 372
	begin_bars(1, 1)
	bar_group("Appends that got through meanwhile")
	bar_point[1, 1] = point_at(r, "stall", sync, combo, "rate")
	if (bar_systems(1) > 0)
		y = draw_bars(y, "appends/s")
	end_figure(r, "stall", y + 6)
}

# Medians of the rounds: sample[system, i] at second[system, i], samples[system].
function stall_samples(cell,    k, s, n, i, a, v, j, m) {
	stall_last = stall_most = 0
	for (k = 1; k <= systems; k++) {
		s = system_name[k]
		samples[s] = n = split(substr(series_x[cell, s], 2), a, " ")
		sort(a, n)
		for (i = 1; i <= n; i++) {
			m = split(substr(series[cell, s, a[i]], 2), v, " ")
			second[s, i] = a[i] + 0
			sample[s, i] = median(v, m)
			if (sample[s, i] > stall_most)
				stall_most = sample[s, i]
			if (a[i] + 0 > stall_last)
				stall_last = a[i] + 0
		}
	}
	return stall_last > 0
}

function stall_lines(r, cell, top, height,    left, right, step, v, k, s, i, points, n, x) {
	left = 74
	right = 560
	step = round_step(stall_most > 0 ? stall_most : 4, 4)
	stall_top = step * -floor(-(stall_most > 0 ? stall_most : 4) / step)
	if (idle_to[r] != "") {
		put_rect(left + (right - left) * idle_from[r] / stall_last, top, \
			(right - left) * (idle_to[r] - idle_from[r]) / stall_last, height, "#f0f0f0")
		put_text(left + (right - left) * (idle_from[r] + idle_to[r]) / 2 / stall_last, top + 16, \
			"a transaction is idle", "middle", 12, "#777777", "")
	}
	for (v = 0; v <= stall_top * 1.001; v += step) {
		put_line(left, top + height * (1 - v / stall_top), right, top + height * (1 - v / stall_top), "#dddddd", 1, "")
		put_text(left - 8, top + 4 + height * (1 - v / stall_top), thousands(v), "end", 11, "#555555", "")
	}
	put_text(16, top - 10, "events behind", "start", 11, "#555555", "")
	for (x = 0; x <= stall_last; x += stall_last > 30 ? 10 : round_step(stall_last, 5))
		put_text(left + (right - left) * x / stall_last, top + height + 16, x, "middle", 11, "#555555", "")
	put_text((left + right) / 2, top + height + 33, "seconds", "middle", 11, "#555555", "")
	n = 0
	for (k = systems; k >= 1; k--) {
		s = system_name[k]
		points = ""
		stall_peak[s] = 0
		for (i = 1; i <= samples[s]; i++) {
			points = points sprintf("%.1f,%.1f ", left + (right - left) * second[s, i] / stall_last, \
				top + height * (1 - sample[s, i] / stall_top))
			if (sample[s, i] >= stall_peak[s]) {
				stall_peak[s] = sample[s, i]
				peak_x[s] = left + (right - left) * second[s, i] / stall_last
			}
		}
		if (points != "")
			put_curve(points, s)
	}
	stall_labels(r, right, top, height)
}

# Names on the right, at the height of the greatest value, moved apart.
function stall_labels(r, right, top, height,    k, n, i, y, order, s) {
	n = 0
	for (k = 1; k <= systems; k++)
		if (samples[system_name[k]] > 0)
			order[++n] = sprintf("%.0f", stall_peak[system_name[k]]) " " system_name[k]
	sort(order, n)
	for (i = 1; i <= n; i++) {
		s = order[i]
		sub(/^[^ ]* /, "", s)
		y[i] = top + height * (1 - stall_peak[s] / stall_top)
		if (i > 1 && y[i] > y[i - 1] - 16)
			y[i] = y[i - 1] - 16
	}
	for (i = 1; i <= n; i++) {
		s = order[i]
		sub(/^[^ ]* /, "", s)
		put_line(stall_peak[s] > 0 ? peak_x[s] : right, top + height * (1 - stall_peak[s] / stall_top), right + 22, y[i], colour_of(s), 1, "opacity=\"0.7\"")
		put_text(right + 26, y[i] + 4, s ": " thousands(stall_peak[s]), "start", 12, ink(s), weight(s))
	}
}

# ---------------------------------------------------------------------------
# Growth
# ---------------------------------------------------------------------------

function plot_growth(r,    w, n, y, k, rows) {
	n = 0
	growth_most = 2
	growth_least = 0.8
	for (w = 1; w <= workloads; w++)
		if (workload_group[workload_name[w]] == "Growth" && (r, workload_name[w]) in has)
			if (growth_range(r, workload_name[w]))
				growth_list[++n] = workload_name[w]
	if (n == 0)
		return
	begin_figure("Time an operation takes as the store grows, relative to the smallest store", \
		facts_text(r, growth_point(r, growth_list[1])) "; logarithmic both ways; a flat line is a cost that does not grow")
	y = growth_legend(r, n, 68)
	rows = int((n + 2) / 3)
	for (k = 1; k <= n; k++)
		growth_panel(r, growth_list[k], 16 + ((k - 1) % 3) * 240, y + int((k - 1) / 3) * 190)
	end_figure(r, "growth", y + rows * 190 + 4)
}

function growth_point(r, w) {
	panels_of(r, w)
	combo_order(r, w)
	return point_at(r, w, panel[1], combo_list[1], growth_metric(w))
}

# Where a line of one system starts: its first combination of this workload.
function growth_base(r, w, sync, sys,    i) {
	for (i = 1; i <= growth_count; i++)
		if ((point_at(r, w, sync, combo_list[i], growth_metric(w)), sys) in rounds)
			return point_at(r, w, sync, combo_list[i], growth_metric(w))
	return ""
}

# What is compared as the store grows: the rate, or the median of the latencies.
function growth_metric(w) {
	return in_metrics(w, "rate") ? "rate" : "p50"
}

function in_metrics(w, metric) {
	return index("," workload_metrics[w] ",", "," metric ",") > 0
}

# The relative times of a system: growth_value[1..growth_count] ("" where there is none).
function growth_values(r, w, sys,    i, base, any) {
	panels_of(r, w)
	growth_count = combo_order(r, w)
	base = growth_base(r, w, panel[1], sys)
	any = 0
	for (i = 1; i <= growth_count; i++) {
		growth_value[i] = ""
		if (base != "" && compared_points(point_at(r, w, panel[1], combo_list[i], growth_metric(w)), base, sys) > 0 && middle > 0) {
			growth_value[i] = 1 / middle
			any++
		}
	}
	return any > 1
}

function growth_range(r, w,    k, i, any) {
	any = 0
	for (k = 1; k <= systems; k++)
		if (growth_values(r, w, system_name[k])) {
			any = 1
			for (i = 1; i <= growth_count; i++)
				if (growth_value[i] != "") {
					if (growth_value[i] > growth_most)
						growth_most = growth_value[i]
					if (growth_value[i] < growth_least)
						growth_least = growth_value[i]
				}
		}
	return any
}

function growth_legend(r, n, y,    k, w, any, x) {
	x = 16
	for (k = 1; k <= systems; k++) {
		any = 0
		for (w = 1; w <= n; w++)
			if ((r, growth_list[w], system_name[k]) in has)
				any = 1
		if (!any)
			continue
		if (x + 40 + length(system_name[k]) * 7.5 > width - 16) {
			x = 16
			y += 18
		}
		put_curve(sprintf("%.1f,%.1f %.1f,%.1f", x, y, x + 26, y), system_name[k])
		put_text(x + 32, y + 4, system_name[k], "start", 12, ink(system_name[k]), weight(system_name[k]))
		x += 32 + length(system_name[k]) * 7.5 + 18
	}
	return y + 14
}

function growth_y(top, v) {
	return top + 110 * (1 - (log10(v) - log10(growth_least)) / (log10(growth_most * 1.1) - log10(growth_least)))
}

function growth_panel(r, w, x0, y0,    i, k, top, ticks, n, left, right, s, points, x, labels, count, parts) {
	top = y0 + 30
	left = x0 + 30
	right = x0 + 176
	put_text(x0, y0 + 18, workload_title[w], "start", 12, "#1a1a1a", "font-weight=\"600\"")
	n = split("1 2 5 10 20 50 100 200 500 1000", ticks, " ")
	for (i = 1; i <= n; i++)
		if (ticks[i] <= growth_most * 1.1 && (growth_most < 50 || ticks[i] ~ /^10*$/)) {
			put_line(left, growth_y(top, ticks[i]), right, growth_y(top, ticks[i]), i == 1 ? "#999999" : "#dddddd", 1, "")
			put_text(left - 6, growth_y(top, ticks[i]) + 4, ticks[i] "×", "end", 11, "#555555", "")
		}
	growth_values(r, w, "event_store")
	for (i = 1; i <= growth_count; i++) {
		split(combo_list[i], parts, SUBSEP)
		put_text(growth_x(left, right, i), top + 126, power(parts[2]), "middle", 11, "#555555", "")
	}
	put_text((left + right) / 2, top + 141, "events in the store", "middle", 10, "#777777", "")
	count = 0
	for (k = systems; k >= 1; k--) {
		s = system_name[k]
		if (!growth_values(r, w, s))
			continue
		points = ""
		for (i = 1; i <= growth_count; i++)
			if (growth_value[i] != "") {
				points = points sprintf("%.1f,%.1f ", growth_x(left, right, i), growth_y(top, growth_value[i]))
				x = growth_x(left, right, i)
				labels[count + 1] = growth_value[i] " " s
			}
		count++
		put_curve(points, s)
	}
	growth_labels(labels, count, right, top)
}

# By the number of events where parameters are numbers, evenly otherwise.
function growth_x(left, right, i,    a, b, c, parts) {
	split(combo_list[1], parts, SUBSEP); a = parameter_number(parts[2])
	split(combo_list[growth_count], parts, SUBSEP); b = parameter_number(parts[2])
	split(combo_list[i], parts, SUBSEP); c = parameter_number(parts[2])
	if (a > 0 && b > a && c > 0)
		return left + 8 + (right - left - 16) * (log10(c) - log10(a)) / (log10(b) - log10(a))
	return left + 8 + (right - left - 16) * (growth_count > 1 ? (i - 1) / (growth_count - 1) : 0)
}

# The last value of each line beside its end, moved apart.
function growth_labels(labels, n, right, top,    i, s, v, y, parts) {
	sort(labels, n)
	for (i = 1; i <= n; i++) {
		split(labels[i], parts, " ")
		y[i] = growth_y(top, parts[1])
		if (i > 1 && y[i] > y[i - 1] - 12)
			y[i] = y[i - 1] - 12
	}
	for (i = 1; i <= n; i++) {
		s = labels[i]
		v = s + 0
		sub(/^[^ ]* /, "", s)
		put_text(right + 4, y[i] + 4, sprintf(v >= 10 ? "%.0f×" : "%.1f×", v), "start", 11, s == "event_store" ? colour_of(s) : "#555555", weight(s))
	}
}
