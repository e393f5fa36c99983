# What settings do, each value against the default: the figures behind the advice.
#
# shellcheck shell=bash disable=SC1091,SC2034,SC2154
#
# The slices of all values of a setting take turns: 1 2 3, 3 2 1 … The ratio is that of a
# value's rate to the first value's in the same round, which is PostgreSQL's or
# event_store's default unless the table says otherwise. The sequencer is on, as in a
# store in use.
#
# SETTINGS="wal workers" (environment): these parts only.

. settings/lib.sh
. settings/commit.sh
. settings/wal.sh
. settings/memory.sh
. settings/sequencer.sh
. settings/projection.sh

workload_settings() {
	local part parts sync=on clients=1 units=1 rounds=$(((rounds + 1) / 2)) protocol=prepared
	local settings_streams=$((bulk_events / 10))

	parts=${SETTINGS:-commit rate wal fillfactor buffers decoding sequencer backlog workers batch cache}
	for part in $parts; do
		declare -F "settings_$part" >/dev/null || die "no part $part of settings"
	done
	for part in $parts; do
		progress "settings: $part"
		clients=1 units=1 sync=on
		sequencer_begin
		"settings_$part"
		sequencer_end
	done
}
