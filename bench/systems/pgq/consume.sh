# shellcheck shell=bash disable=SC2034,SC2154
#
# How PgQ can be consumed: "poll", where the consumer has the ticker called whenever it
# finds nothing; and "default", the settings of a new queue with a ticker that comes by each
# second, as pgqd does.

consume_variants() {
	echo poll
	echo default
}

consume_variant() {
	[ "$1" = default ] || return 0
	sql -f systems/pgq/consume.default.sql >/dev/null
	sql -c 'CALL bench_ticker()' >"$server_dir/ticker" 2>&1 &
	lab_child $!
}
