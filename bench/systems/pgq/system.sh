# PgQ, Skytools' queue: no streams, no versions and nothing checked; consumers read batches between ticks
#
# shellcheck shell=bash disable=SC2154
#
# The queue "bench" takes an event's stream in ev_extra1 and its metadata in
# ev_extra2. Nothing can be looked up by them: it has no workload that reads a
# stream or a category, or that states a version.

system_missing() {
	command -v apt-get >/dev/null || echo "apt-get is not installed"
}

system_install() {
	apt_install "postgresql-$pg_major-pgq3"
}

system_settings() {
	:
}

system_setup() {
	sql -f "$system_dir/setup.sql" -f "$system_dir/fill.setup.sql" -f "$system_dir/consume.setup.sql" >/dev/null
}

# Straight into the queue's current table, as its documentation allows.
system_fill() {
	sql -v prefix="$1" -v streams="$2" -v events="$3" -v data="$event_data" -v metadata="$event_metadata" <<-'END'
		CALL bench_fill(:'prefix', :streams, :events, 'OrderPlaced', :'data', :'metadata');
	END
}

system_version() {
	printf 'PgQ %s (%s)\n' "$(sql -c 'SELECT pgq.version()')" \
		"$(dpkg-query -W -f '${Package} ${Version}' "postgresql-$pg_major-pgq3")"
}
