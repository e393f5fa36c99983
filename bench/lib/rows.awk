# rows.awk: reads the rows of bench/compare (README.md has their format), for
# report.awk and plot.awk. Portable to mawk and gawk; run with LC_ALL=C.
#
# A *point* is what can be compared: run, workload, sync, clients, parameter,
# metric. A run is one file. The first files are lib/workloads.tsv and
# limits.txt (variables workload_list and limit_list have their names).

BEGIN {
	FS = "\t"
	runs = workloads = systems = groups = fact_keys = 0
	own = "event_store"
	add_system("event_store")
}

FNR == 1 && FILENAME != workload_list && FILENAME != limit_list { begin_run() }

{ sub(/\r$/, "") }

FILENAME == limit_list {
	if ($0 !~ /^#/ && NF > 1)
		limit[$1] = $2
	next
}

FILENAME == workload_list {
	if ($0 !~ /^#/ && NF > 1)
		add_workload($1, $2, $3, $4, $5)
	next
}

/^[ \t]*$/ || /^# / { next }

/^#/ {
	read_fact()
	next
}

$1 == "workload" && $2 == "system" { next }

NF != 8 || $6 !~ /^[0-9]+$/ || $8 !~ /^-?[0-9.]+([eE][-+]?[0-9]+)?$/ {
	printf "%s:%d: not a row: %s\n", FILENAME, FNR, $0 >"/dev/stderr"
	wrong_rows++
	next
}

# Round 0 is warm-up.
$6 > 0 { read_row() }

function begin_run(    name) {
	run = ++runs
	name = FILENAME
	sub(/.*\//, "", name)
	sub(/\.tsv$/, "", name)
	run_file[run] = name
	run_label[run] = name ~ /^pg[0-9]+$/ ? "PostgreSQL " substr(name, 3) : name
}

function add_workload(name, group, title, unit, metrics) {
	if (!(name in workload_group)) {
		workload_name[++workloads] = name
		if (!(group in group_seen)) {
			group_seen[group] = 1
			group_name[++groups] = group
		}
	}
	workload_group[name] = group
	workload_title[name] = title
	workload_unit[name] = unit
	workload_metrics[name] = metrics
}

function add_system(name) {
	if (!(name in system_number)) {
		system_number[name] = ++systems
		system_name[systems] = name
	}
}

# "#key<TAB>value": a fact, or one of those that mean more:
# #system NAME<TAB>version<TAB>description; #model NAME<TAB>description;
# #without NAME<TAB>reason; #target<TAB>workload<TAB>system<TAB>ratio[<TAB>where];
# #stall<TAB>from when to when the transaction of that workload was idle, in
# seconds with a blank between; #workload<TAB> and the columns of lib/workloads.tsv.
function read_fact(    key) {
	key = substr($1, 2)
	if (key == "target")
		targets[run, $2, $3] = targets[run, $2, $3] $4 FS $5 "\n"
	else if (key ~ /^system /) {
		key = substr(key, 8)
		add_system(key)
		system_version[run, key] = $2
		if ($3 != "")
			system_text[key] = $3
	} else if (key ~ /^model /) {
		key = substr(key, 7)
		add_system(key)
		model_text[key] = $2
	} else if (key ~ /^without /)
		left_out[run] = left_out[run] substr(key, 9) FS $2 "\n"
	else if (key == "workload")
		add_workload($2, $3, $4, $5, $6 == "" ? "rate" : $6)
	else if (key == "stall") {
		split($2, stall_times, " ")
		idle_from[run] = stall_times[1]
		idle_to[run] = stall_times[2]
	} else {
		if (!(key in fact_seen)) {
			fact_seen[key] = 1
			fact_key[++fact_keys] = key
		}
		fact[run, key] = $2
		if (key == "postgresql" && run_label[run] !~ /^PostgreSQL [0-9]+$/ && match($2, /[0-9]+/))
			run_label[run] = "PostgreSQL " substr($2, RSTART, RLENGTH)
	}
}

function read_row(    cell, sys, parameter) {
	if (!($1 in workload_group))
		add_workload($1, "Other", $1, "/s", "rate")
	sys = $2
	parameter = $5
	# Consumers that do not just ask again and again are systems by themselves.
	if ($1 == "latency_log") {
		if (parameter != "-" && parameter != "poll")
			sys = sys " (" parameter ")"
		parameter = "-"
	}
	add_system(sys)
	cell = run SUBSEP $1 SUBSEP $4 SUBSEP $3 SUBSEP parameter
	if ($7 == "noise") {
		if ($8 > 0)
			noise[cell, sys, $6] = 1
	} else if ($1 == "stall")
		read_stall(run SUBSEP $1 SUBSEP $4 SUBSEP $3 SUBSEP "-", sys, $6, parameter, $7, $8 + 0)
	else
		store(cell, $7, sys, $6, $8 + 0)
}

# Of a long transaction there is a row for each second (the parameter): events
# behind, and appends that got through.
function read_stall(cell, sys, round, second, metric, v) {
	if (metric == "behind_max")
		metric = "behind"
	if (metric == "appended" && second != "-") {
		if (idle_to[run] == "" || (second > idle_from[run] && second <= idle_to[run])) {
			appended[cell, sys, round] += v
			store(cell, "rate", sys, round, appended[cell, sys, round] / ++appended_seconds[cell, sys, round])
		}
	} else if (metric == "behind" && second != "-")
		add_series(cell, sys, second + 0, v)
	else
		store(cell, metric, sys, round, v)
}

function store(cell, metric, sys, round, v,    point, parts, w) {
	point = cell SUBSEP metric
	split(cell, parts, SUBSEP)
	w = parts[2]
	if (!((point, sys, round) in value))
		rounds[point, sys] = rounds[point, sys] " " round
	value[point, sys, round] = v
	has[parts[1], w] = 1
	has[parts[1], w, sys] = 1
	has[parts[1], w, parts[3], metric] = 1
	in_group[parts[1], workload_group[w], sys] = 1
	list_add(syncs, parts[1] SUBSEP w, parts[3])
	list_add(combos, parts[1] SUBSEP w, parts[4] SUBSEP parts[5])
	list_add(metrics_of, parts[1] SUBSEP w, metric)
}

# Events behind, second by second, of all rounds.
function add_series(cell, sys, x, v) {
	if (!((cell, sys, x) in series_seen)) {
		series_seen[cell, sys, x] = 1
		series_x[cell, sys] = series_x[cell, sys] " " x
	}
	series[cell, sys, x] = series[cell, sys, x] " " v
}

# Lists without repetition, as text between newlines.
function list_add(lists, key, item) {
	if (index("\n" lists[key], "\n" item "\n") == 0)
		lists[key] = lists[key] item "\n"
}

# Sorts a[1..n] by number, or by the number in front.
function sort(a, n,    i, j, t) {
	for (i = 2; i <= n; i++) {
		t = a[i]
		for (j = i - 1; j >= 1 && a[j] + 0 > t + 0; j--)
			a[j + 1] = a[j]
		a[j + 1] = t
	}
}

# Median of n numbers; leaves them in least, middle and most.
function median(a, n) {
	sort(a, n)
	least = a[1]
	most = a[n]
	middle = n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
	return middle
}

# Of one system at one point; how many rounds there are.
function measured(point, sys,    r, v, n, i) {
	if (!((point, sys) in rounds))
		return 0
	n = split(substr(rounds[point, sys], 2), r, " ")
	for (i = 1; i <= n; i++)
		v[i] = value[point, sys, r[i]]
	if (n > 0)
		median(v, n)
	return n
}

# Less is better, for some metrics. The ratio is turned round for them, so that
# more than 1 always says that event_store is ahead.
function less_is_better(metric) {
	return metric ~ /^(cpu|p[0-9]+|max|bytes|wal|behind|lost|late)$/
}

function metric_of(point,    parts) {
	split(point, parts, SUBSEP)
	return parts[6]
}

function quotient(a, b) {
	return b > 0 ? a / b : a > 0 ? 1e9 : 1
}

# Shown and compared, but no peer: what cannot do the work of a store, and
# event_store in other ways of using it.
function is_baseline(sys) {
	return sys == "bare"
}

function is_own(sys) {
	return sys ~ /^event_store/
}

# Our own against another system: the median of the ratios of those rounds
# that both have. Returns how many these are.
function compared(point, sys,    r, v, n, i, k, a, b) {
	if (!((point, own) in rounds) || !((point, sys) in rounds))
		return 0
	n = split(substr(rounds[point, own], 2), r, " ")
	k = 0
	for (i = 1; i <= n; i++)
		if ((point, sys, r[i]) in value) {
			a = value[point, own, r[i]]
			b = value[point, sys, r[i]]
			v[++k] = less_is_better(metric_of(point)) ? quotient(b, a) : quotient(a, b)
		}
	if (k > 0)
		median(v, k)
	return k
}

# The same against itself at another point (a smaller store).
function compared_points(point, base, sys,    r, v, n, i, k, a, b) {
	if (!((point, sys) in rounds) || !((base, sys) in rounds))
		return 0
	n = split(substr(rounds[base, sys], 2), r, " ")
	k = 0
	for (i = 1; i <= n; i++)
		if ((point, sys, r[i]) in value) {
			a = value[point, sys, r[i]]
			b = value[base, sys, r[i]]
			v[++k] = less_is_better(metric_of(point)) ? quotient(b, a) : quotient(a, b)
		}
	if (k > 0)
		median(v, k)
	return k
}

# In how many rounds of a cell something else was running.
function noisy(point, sys,    parts, r, n, i, k, cell) {
	if (!((point, sys) in rounds))
		return 0
	split(point, parts, SUBSEP)
	cell = parts[1] SUBSEP parts[2] SUBSEP parts[3] SUBSEP parts[4] SUBSEP parts[5]
	n = split(substr(rounds[point, sys], 2), r, " ")
	k = 0
	for (i = 1; i <= n; i++)
		if ((cell, sys, r[i]) in noise)
			k++
	return k
}

# 100000, 1e5 and 10^5 are the same number.
function parameter_number(p,    parts) {
	if (p ~ /^[0-9]+\^[0-9]+$/) {
		split(p, parts, "^")
		return parts[1] ^ parts[2]
	}
	return p ~ /^[0-9.]+([eE][-+]?[0-9]+)?$/ ? p + 0 : -1
}

# Clients and parameters of a workload in order: combo_list[1..n] as
# "clients SUBSEP parameter".
function combo_order(r, w,    n, i, parts, a, p) {
	n = split(combos[r, w], a, "\n") - 1
	for (i = 1; i <= n; i++) {
		split(a[i], parts, SUBSEP)
		p = parameter_number(parts[2])
		a[i] = sprintf("%.0f", parts[1] * 1e12 + (p < 0 ? i : p)) " " a[i]
	}
	sort(a, n)
	for (i = 1; i <= n; i++) {
		combo_list[i] = a[i]
		sub(/^[^ ]* /, "", combo_list[i])
	}
	return n
}

function thousands(v,    s, t) {
	s = sprintf("%.0f", v)
	t = ""
	while (length(s) > 3) {
		t = "," substr(s, length(s) - 2) t
		s = substr(s, 1, length(s) - 3)
	}
	return s t
}

function number(v, metric) {
	if (v == 0)
		return "0"
	if (metric ~ /^(p[0-9]+|max|late)$/)
		return v >= 100 ? thousands(v) : sprintf(v >= 10 ? "%.1f" : v >= 1 ? "%.2f" : "%.3f", v)
	if (metric ~ /^(behind|lost|bytes|wal)$/)
		return thousands(v)
	return v >= 100 ? thousands(v) : sprintf(v >= 10 ? "%.1f" : "%.2f", v)
}

function ratio(v) {
	return v >= 1e8 ? "∞" : v >= 100 ? thousands(v) : sprintf(v >= 10 ? "%.1f" : "%.2f", v)
}

function power(p,    v) {
	v = parameter_number(p)
	if (v == 1e4 || v == 1e5 || v == 1e6 || v == 1e7 || v == 1e8)
		return "10" (v == 1e4 ? "⁴" : v == 1e5 ? "⁵" : v == 1e6 ? "⁶" : v == 1e7 ? "⁷" : "⁸")
	return v >= 1000 ? thousands(v) : p
}
