# message-db: Eventide's message store, PL/pgSQL functions on one table and a lock for each category
# shellcheck shell=bash disable=SC2154
#
# Made by its own install.sh; only its own functions write. Its clients connect as the
# role message_store, whose "$user" in the search_path is the schema of that name; the
# database's search_path stands for that here.
#
# A write locks the stream's category, "order" for order-1, until its transaction ends:
# that is what keeps the positions of a category in order.

message_db_package=@eventide/message-db

system_missing() {
	[ -d "$node_dir/node_modules/$message_db_package" ] || command -v npm >/dev/null || echo "npm is not installed"
}

system_install() {
	npm_install "$message_db_package@1.3.1"
}

system_settings() { :; }

system_setup() {
	DATABASE_NAME=bench CREATE_DATABASE=off PGOPTIONS='-c client_min_messages=warning' \
		PATH=$pg_bin:$PATH bash "$node_dir/node_modules/$message_db_package/database/install.sh" >/dev/null ||
		die "message-db's install.sh failed"
	sql -c "ALTER DATABASE bench SET search_path = message_store, public"
	sql -f "$system_dir/fill.sql"
}

# It has no way to load many events but write_message: transactions of 1,000 calls.
system_fill() {
	sql -v prefix="$1" -v streams="$2" -v events="$3" -v data="$event_data" -v metadata="$event_metadata" <<-'END'
		CALL bench_fill(:'prefix', :streams, :events, 'OrderPlaced', :'data', :'metadata');
	END
}

system_version() {
	printf 'message-db %s\n' "$(sed -n 's/^ *"version": *"\(.*\)".*/\1/p' "$node_dir/node_modules/$message_db_package/package.json")"
}
