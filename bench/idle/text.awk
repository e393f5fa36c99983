# A plot of a line in 20 for each few seconds. Variables: from, to.
{ t[NR] = $1; ours[NR] = $2; theirs[NR] = $3; if ($3 > most) most = $3; if ($2 > most) most = $2 }
END {
	step = NR > 40 ? int(NR / 40 + 0.5) : 1
	printf "```\n  s  behind: es_read_all, and below pg_snapshot_xmin() (#)\n"
	for (i = 1; i <= NR; i += step) {
		n = most > 0 ? int(theirs[i] * 50 / most + 0.5) : 0
		bar = sprintf("%*s", n, "")
		gsub(/ /, "#", bar)
		printf "%3d %s %5d %6d %s\n", t[i], (t[i] > from && t[i] <= to ? "idle" : "    "), ours[i], theirs[i], bar
	}
	printf "```\n"
}
