# Appends of events whose type is registered, against the same events of a type that is not.
#
# The event has 500 bytes of data. The schema has 20 rules that it obeys: types,
# required properties, bounds, a pattern, an enumeration, an array of objects.
# "SQL check" is an expression of PostgreSQL's own functions, "PL/pgSQL check"
# calls a function, as its owner and with his settings.

validation_data='{"order_id":"7f3c2a91-5b0e-4d1e-9a46-0c2d8e5b1f77","customer":"c-204811773","currency":"EUR","total":149.90,"channel":"web","note":"Please leave the parcel with the neighbours at number 12 if nobody is at home.","lines":[{"sku":"BK-10442","qty":2,"price":49.95,"name":"A Book of Events"},{"sku":"PN-00731","qty":1,"price":50.00,"name":"A Pen for Versions"}],"shipping":{"name":"Ada Lovelace","street":"12 St James Square","city":"London","postcode":"SW1Y 4JH","country":"GB"},"billing":{"same":true},"tags":["gift","express","first-order"]}'

workload_validation() {
	local sync clients what pgbench_variables=() event_data=$validation_data

	report_heading "Validation (one event of ${#event_data} bytes a call; es_append)"
	report_table
	for sync in on off; do
		for clients in $client_counts; do
			database_fresh bench_filled
			sql -f validation/types.sql >&2
			compare "JSON Schema of 20 rules" 0.85 1 "pgbench_slice validation/free.sql" "pgbench_slice validation/schema.sql"
		done
	done
	sync=off clients=1
	for what in sql plpgsql plain; do
		database_fresh bench_filled
		sql -f validation/types.sql >&2
		compare "$(validation_title "$what")" - 1 "pgbench_slice validation/free.sql" "pgbench_slice validation/$what.sql"
	done
	database_fresh bench_filled
	compare "nothing is registered, against other types are" - 1 "pgbench_slice validation/free.sql" "validation_register"
	pgbench_variables=(
		-D types="$(array_of Free)" -D ours_types="$(array_of Placed)"
		-D datas="$(array_of "$event_data")"
	)
	database_fresh bench_filled
	sql -f validation/types.sql >&2
	compare "JSON Schema of 20 rules, 100 events a call" - 100 "pgbench_slice validation/free_batch.sql" "pgbench_slice validation/schema_batch.sql"
}

validation_title() {
	case $1 in
		sql) echo "SQL check" ;;
		plpgsql) echo "PL/pgSQL check" ;;
		plain) echo "registered, without schema or check" ;;
	esac
}

# The same as the baseline, but other types are registered meanwhile.
validation_register() {
	sql -f validation/types.sql >&2
	pgbench_slice validation/free.sql
	sql -c "DELETE FROM es_event_types"
}
