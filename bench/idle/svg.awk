# The samples as SVG: both readers over time. Variables: from, to.
function x(s) { return 70 + s * 640 / last }
function y(n) { return 330 - n * 280 / most }
function line(values, colour,    i, points) {
	for (i = 1; i <= NR; i++)
		points = points sprintf("%.1f,%.1f ", x(t[i]), y(values[i]))
	printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\"/>\n", points, colour
}
{ t[NR] = $1; ours[NR] = $2; theirs[NR] = $3; if ($3 > most) most = $3; if ($2 > most) most = $2 }
END {
	last = t[NR]
	step = 10 ^ length(int(most / 5))
	while (most / step < 4)
		step /= 2
	most = (int(most / step) + 1) * step
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 740 400\" font-family=\"sans-serif\" font-size=\"13\">"
	print "<rect width=\"740\" height=\"400\" fill=\"white\"/>"
	print "<text x=\"70\" y=\"28\" font-size=\"15\">Committed events that a reader has not got, 50 appends a second</text>"
	printf "<rect x=\"%.1f\" y=\"50\" width=\"%.1f\" height=\"280\" fill=\"#eeeeee\"/>\n", x(from), x(to) - x(from)
	printf "<text x=\"%.1f\" y=\"66\" fill=\"#666666\" text-anchor=\"middle\">an idle transaction has a number</text>\n", (x(from) + x(to)) / 2
	for (n = 0; n <= most; n += step) {
		printf "<line x1=\"70\" x2=\"710\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#cccccc\"/>\n", y(n), y(n)
		printf "<text x=\"62\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", y(n) + 4, n
	}
	for (s = 0; s <= last; s += last > 30 ? 10 : 2)
		printf "<text x=\"%.1f\" y=\"348\" text-anchor=\"middle\">%d s</text>\n", x(s), s
	line(theirs, "#c0392b")
	line(ours, "#1f6fb2")
	print "<rect x=\"80\" y=\"366\" width=\"14\" height=\"4\" fill=\"#1f6fb2\"/><text x=\"100\" y=\"373\">es_read_all</text>"
	print "<rect x=\"220\" y=\"366\" width=\"14\" height=\"4\" fill=\"#c0392b\"/><text x=\"240\" y=\"373\">a reader of what is below pg_snapshot_xmin()</text>"
	print "</svg>"
}
