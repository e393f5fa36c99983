# message-db with a consumer: get_category_messages and an upsert for each message, in PL/pgSQL
# shellcheck shell=bash disable=SC2034,SC2154

model_system=message_db

model_setup() {
	sql -f models/message_db/model.sql
}

model_start() {
	model_background bench_consumer false
}

model_stop() {
	model_background_stop
}

model_work_off() {
	sql -c 'CALL bench_consumer(true)'
}

model_rebuild() {
	sql -c 'TRUNCATE order_totals' -c 'UPDATE order_totals_position SET global_position = 0' -c 'CALL bench_consumer(true)'
}
