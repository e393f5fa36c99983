# PgQ: Skytools' queue, which knows no streams and checks nothing; consumers read what lies between two ticks
# shellcheck shell=bash disable=SC2154
#
# The queue "bench" takes an event's stream in ev_extra1 and its metadata in ev_extra2.
# Nothing can be looked up by them: there is no workload that reads a stream or a
# category, or that states a version.

pgq_package() {
	"$pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/postgresql-\1-pgq3/'
}

system_missing() {
	[ ! -f "$("$pg_config" --sharedir)/extension/pgq.control" ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "it is installed with apt-get, which is not here"
	elif [ -z "$(apt-cache madison "$(pgq_package)" 2>/dev/null)" ]; then
		echo "apt-get knows no package $(pgq_package)"
	fi
}

system_install() {
	[ -f "$("$pg_config" --sharedir)/extension/pgq.control" ] || apt_install "$(pgq_package)"
}

system_settings() { :; }

system_setup() {
	sql -f "$system_dir/queue.sql" -f "$system_dir/fill.sql" >/dev/null
}

# Straight into the queue's current table, as its documentation allows.
system_fill() {
	sql -v prefix="$1" -v streams="$2" -v events="$3" -v data="$event_data" -v metadata="$event_metadata" <<-'END'
		CALL bench_fill(:'prefix', :streams, :events, 'OrderPlaced', :'data', :'metadata');
	END
}

system_version() {
	local package

	package=$(pgq_package)
	printf 'PgQ %s (%s %s)\n' "$(sql -c 'SELECT pgq.version()')" "$package" \
		"$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null || echo "of another origin")"
}
