# pg_ivm: an incrementally maintained materialized view of the DIY table
# shellcheck shell=bash disable=SC2034,SC2154

model_system=diy
model_kind=sync

# Debian has it for PostgreSQL 18 only.
model_missing() {
	[ "$pg_major" -ge 18 ] || echo "Debian packages pg_ivm for PostgreSQL 18, not $pg_major"
}

model_install() {
	[ -f "$("$pg_bin/pg_config" --sharedir)/extension/pg_ivm.control" ] || apt_install "postgresql-$pg_major-pg-ivm"
}

model_settings() {
	echo "session_preload_libraries = 'pg_ivm'"
}

model_setup() {
	sql -f models/pg_ivm/model.sql >/dev/null
}

model_rebuild() {
	sql -c "SELECT pgivm.refresh_immv('order_totals', true)" >/dev/null
}
