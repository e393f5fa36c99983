-- Event types: how events look, version by version.

CREATE TABLE es_event_types (
  event_type       text COLLATE "C" NOT NULL,
  schema_version   integer     NOT NULL,
  status           text        NOT NULL DEFAULT 'active',
  description      text,
  published        boolean     NOT NULL DEFAULT false,
  topic            text,
  json_schema      jsonb,
  check_expression text,
  upcaster         text,
  compatibility    text        NOT NULL DEFAULT 'backward',
  owner            name        NOT NULL,
  settings         text[]      NOT NULL DEFAULT '{}'::pg_catalog.text[],
  registered_at    timestamptz NOT NULL DEFAULT pg_catalog.now(),
  CONSTRAINT es_event_types_pkey PRIMARY KEY (event_type, schema_version),
  CONSTRAINT es_event_types_status_check
    CHECK (status OPERATOR(pg_catalog.=) ANY (ARRAY['draft'::pg_catalog.text, 'active'::pg_catalog.text, 'deprecated'::pg_catalog.text, 'retired'::pg_catalog.text])),
  CONSTRAINT es_event_types_compatibility_check
    CHECK (compatibility OPERATOR(pg_catalog.=) ANY (ARRAY['backward'::pg_catalog.text, 'forward'::pg_catalog.text, 'full'::pg_catalog.text, 'none'::pg_catalog.text])),
  CONSTRAINT es_event_types_schema_version_check
    CHECK (schema_version OPERATOR(pg_catalog.>=) 1)
) WITH (user_catalog_table = true);     -- the output plugin reads it as it was when an event was committed
-- and so it is best kept in the row.
ALTER TABLE es_event_types ALTER COLUMN upcaster SET STORAGE MAIN;
COMMENT ON TABLE es_event_types IS
  'the event types: one row for each version; written by es_register_event_type and what changes a type';
COMMENT ON COLUMN es_event_types.event_type IS 'name of the type, es_events.event_type';
COMMENT ON COLUMN es_event_types.schema_version IS 'version of the shape of its data, es_events.schema_version';
COMMENT ON COLUMN es_event_types.status IS
  'draft, active, deprecated or retired; a retired version cannot be appended any more, a draft is not what events are read as yet';
COMMENT ON COLUMN es_event_types.description IS 'what the event means, for people';
COMMENT ON COLUMN es_event_types.published IS 'is it meant for others than this application?';
COMMENT ON COLUMN es_event_types.topic IS 'where it is published';
COMMENT ON COLUMN es_event_types.json_schema IS 'JSON Schema (draft 2020-12) of its data';
COMMENT ON COLUMN es_event_types.check_expression IS
  'SQL expression over data, metadata, event_type, schema_version and stream_id that must not be false';
COMMENT ON COLUMN es_event_types.upcaster IS
  'SQL expression that makes data of this version of an event of the version before';
COMMENT ON COLUMN es_event_types.compatibility IS
  'what its schema was compared for with the version before: backward, forward, full or none';
COMMENT ON COLUMN es_event_types.owner IS 'role that the expressions run as';
COMMENT ON COLUMN es_event_types.settings IS 'settings that they run with, name=value';
COMMENT ON COLUMN es_event_types.registered_at IS 'when it was registered';
COMMENT ON INDEX es_event_types_pkey IS 'finds a version of an event type';
COMMENT ON CONSTRAINT es_event_types_pkey ON es_event_types IS 'one row for each version of a type';
COMMENT ON CONSTRAINT es_event_types_status_check ON es_event_types IS 'the states there are';
COMMENT ON CONSTRAINT es_event_types_compatibility_check ON es_event_types IS 'the kinds of compatibility there are';
COMMENT ON CONSTRAINT es_event_types_schema_version_check ON es_event_types IS 'versions begin at 1';

SELECT pg_catalog.pg_extension_config_dump('es_event_types', '');

CREATE TYPE es_upcast_event AS (
  event_type     text COLLATE "C",
  schema_version integer,
  data           jsonb
);
COMMENT ON TYPE es_upcast_event IS
  'what an upcaster returns that turns an event into one of another type, or (as an array) into several';
