# row trigger: a table kept by a hand-written AFTER INSERT trigger with an upsert, on the DIY table
# shellcheck shell=bash disable=SC2034,SC2154

model_system=diy
model_kind=sync

model_setup() {
	sql -f models/trigger/model.sql
}

# Nobody may append meanwhile, or his event would be counted twice, or never.
model_rebuild() {
	sql <<-'END'
		BEGIN;
		LOCK TABLE diy_events IN SHARE ROW EXCLUSIVE MODE;
		TRUNCATE order_totals;
		INSERT INTO order_totals SELECT stream, count(*), sum((data->>'total')::numeric) FROM diy_events GROUP BY stream;
		COMMIT;
	END
}
