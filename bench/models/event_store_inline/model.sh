# es_create_view (mode => 'inline'): a view of event_store that the append itself keeps
# shellcheck shell=bash disable=SC2034,SC2154

model_system=event_store
model_kind=sync

model_setup() {
	sql -v mode=inline -f models/event_store/model.sql >/dev/null
}

model_rebuild() {
	sql -c "SELECT es_rebuild('order_totals')" >/dev/null
}
