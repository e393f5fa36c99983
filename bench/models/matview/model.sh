# materialized view: REFRESH MATERIALIZED VIEW CONCURRENTLY without a break, on the DIY table; rebuilt by a plain REFRESH
# shellcheck shell=bash disable=SC2034,SC2154

model_system=diy

model_setup() {
	sql -f models/matview/model.sql
}

model_start() {
	model_background bench_refresh
}

model_stop() {
	model_background_stop
}

# One refresh does it.
model_work_off() {
	sql -c 'REFRESH MATERIALIZED VIEW CONCURRENTLY order_totals'
}

model_rebuild() {
	sql -c 'REFRESH MATERIALIZED VIEW order_totals'
}
