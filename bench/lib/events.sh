# shellcheck shell=bash disable=SC2154
#
# events.sh: the fixture's events as rows for COPY.

# Rows (stream, type, data, metadata) of EVENTS events for each of STREAMS streams
# PREFIX-1 …, all streams' first ones before their second ones, so that the events of
# a stream lie apart, as in a store that has lived. With a fourth argument, a version
# stands behind the stream.
events_rows() {
	awk -v prefix="$1" -v streams="$2" -v events="$3" -v versions="${4:-}" -v data="$event_data" -v metadata="$event_metadata" '
		BEGIN {
			rest = "\tOrderPlaced\t" data "\t" metadata
			for (v = 1; v <= events; v++) {
				version = versions == "" ? "" : "\t" v
				for (s = 1; s <= streams; s++)
					print prefix "-" s version rest
			}
		}'
}
