\echo Use "CREATE EXTENSION event_store" to load this file. \quit

-- Functions that the tables need.

CREATE FUNCTION es_version() RETURNS text
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_version';
COMMENT ON FUNCTION es_version() IS 'version of the event_store library that this session has loaded';

CREATE FUNCTION es_tenant() RETURNS text
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_tenant';
COMMENT ON FUNCTION es_tenant() IS 'tenant whose streams this session appends to and reads: the setting event_store.tenant_id';

CREATE FUNCTION es_uuid_v7() RETURNS uuid
LANGUAGE C VOLATILE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_uuid_v7';
COMMENT ON FUNCTION es_uuid_v7() IS 'a new UUID of version 7, ascending within a session';

CREATE FUNCTION es_category(stream_id text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.split_part(stream_id, '-', 1);
COMMENT ON FUNCTION es_category(text) IS 'category of a stream: what stands before the first hyphen of its id';
