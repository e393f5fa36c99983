# Emmett: event sourcing for Node.js; its client on PostgreSQL, and its append function by itself
# shellcheck shell=bash disable=SC2154
#
# Its own client makes its objects. The workloads in SQL call emt_append_to_stream and send
# the queries of the client, but prepared, which the client does not do; those named
# client_… go through the client. With NULL as expected version the function does not wait
# for other writers of the stream but reports a conflict; whoever calls it tries again.

emmett_package=@event-driven-io/emmett-postgresql
emmett_version=0.42.0

system_missing() {
	if ! command -v node >/dev/null; then
		echo "node is not installed"
	elif [ ! -d "$node_dir/node_modules/$emmett_package" ] && ! command -v npm >/dev/null; then
		echo "npm is not installed"
	fi
}

system_install() {
	npm_install "$emmett_package@$emmett_version"
}

system_settings() { :; }

system_setup() {
	BENCH_NODE=$node_dir node "$system_dir/migrate.mjs" >/dev/null || die "the schema of Emmett could not be made"
	sql -f "$system_dir/fill.sql"
}

# It has no way to load many events but its function: ten events a call, 1,000 in a transaction.
system_fill() {
	sql -v prefix="$1" -v streams="$2" -v events="$3" -v data="$event_data" -v metadata="$event_metadata" <<-'END'
		CALL bench_fill(:'prefix', :streams, :events, 'OrderPlaced', :'data', :'metadata');
	END
}

system_version() {
	printf 'Emmett %s\n' "$(sed -n 's/^ *"version": *"\(.*\)".*/\1/p' "$node_dir/node_modules/$emmett_package/package.json")"
}
