# es_create_view: an async view of event_store, kept by its projection workers
# shellcheck shell=bash disable=SC2034,SC2154

model_system=event_store

model_setup() {
	sql -v mode=async -f models/event_store/model.sql >/dev/null
	model_stop
}

model_start() {
	sql -c "SELECT es_resume_projection('order_totals')" >/dev/null
}

model_stop() {
	sql -c "SELECT es_pause_projection('order_totals')" >/dev/null
}

# 50 ms at a time: a longer statement would keep dead rows from being pruned.
model_catch_up() {
	sql <<-'END'
		DO $$ BEGIN WHILE NOT es_wait('order_totals', '50 ms') LOOP COMMIT; END LOOP; END $$;
	END
}

model_rebuild() {
	sql -c "SELECT es_rebuild('order_totals')" >/dev/null
}
