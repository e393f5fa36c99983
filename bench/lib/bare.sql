-- The extension, and beside it what it is measured against.
SET client_min_messages = warning;
CREATE EXTENSION event_store;

-- The same table without the extension: columns, types, collation, NOT NULLs
-- and indexes are copied, triggers are not. It checks nothing but uniqueness.
-- What a caller does not state comes from ordinary defaults; event ids come from
-- the extension's generator, so that both sides' indexes have the same locality.
CREATE SEQUENCE bare_tx_seq;
CREATE TABLE bare_events (LIKE es_events INCLUDING ALL);
ALTER TABLE bare_events
	ALTER tenant_id SET DEFAULT '',
	ALTER event_id SET DEFAULT es_uuid_v7(),
	ALTER schema_version SET DEFAULT 1,
	ALTER metadata SET DEFAULT '{}',
	ALTER recorded_at SET DEFAULT now(),
	ALTER tx SET DEFAULT nextval('bare_tx_seq'),
	ALTER ordinal SET DEFAULT 0;
