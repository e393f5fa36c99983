-- tenant: the setting event_store.tenant_id chooses the streams of a session.
\set SHOW_CONTEXT never

-- Without it: the empty string.
SELECT es_version() IS NOT NULL AS loaded;
SHOW event_store.tenant_id;
SELECT es_tenant() = '' AS none;
SELECT es_append('tenant-1', 'None', '0');

-- Each tenant has streams of its own, of the same names.
SET event_store.tenant_id = 'acme';
SELECT es_tenant();
SELECT es_stream_version('tenant-1');
SELECT es_append('tenant-1', 'Acme', '1', expected_version => 0), es_append('tenant-1', 'Acme', '2', expected_version => 1);
SELECT es_append_batch('tenant-1', '{Acme,Acme}', '{3,4}', expected_version => 2);
SELECT es_append_json('tenant-1', '[{"type": "Acme", "data": 5}]', 4);
SET event_store.tenant_id = 'Bits & Böbs';
SELECT es_append('tenant-1', 'Bits', '1');
SELECT tenant_id, version, event_type FROM es_read_stream('tenant-1');
SET event_store.tenant_id = 'acme';
SELECT tenant_id, version, data FROM es_read_stream('tenant-1', 2);
SELECT tenant_id, version, data FROM es_read_stream('tenant-1', NULL, 2, true);
SELECT es_stream_version('tenant-1');
RESET event_store.tenant_id;
SELECT tenant_id, version, data FROM es_read_stream('tenant-1');
SELECT tenant_id, count(*) FROM es_events WHERE stream_id = 'tenant-1' GROUP BY tenant_id ORDER BY tenant_id;

-- A plain INSERT and COPY take it for a default, but may name another.
SET event_store.tenant_id = 'acme';
INSERT INTO es_events (stream_id, event_type, data) VALUES ('tenant-1', 'Acme', '6') RETURNING tenant_id, version;
INSERT INTO es_events (tenant_id, stream_id, event_type, data) VALUES ('', 'tenant-1', 'None', '1'), ('acme', 'tenant-1', 'Acme', '7'), (DEFAULT, 'tenant-1', 'Acme', '8')
  RETURNING tenant_id, version;
COPY es_events (stream_id, event_type, data) FROM stdin;
tenant-1	Acme	9
\.
COPY es_events (tenant_id, stream_id, event_type, data) FROM stdin;
	tenant-1	None	2
acme	tenant-1	Acme	10
\.
SELECT es_stream_version('tenant-1');
RESET event_store.tenant_id;
SELECT es_stream_version('tenant-1');

-- Several in one transaction; and what is set locally ends with it.
BEGIN;
SET LOCAL event_store.tenant_id = 'a';
SELECT es_append('tenant-2', 'T', '1');
SAVEPOINT s;
SET LOCAL event_store.tenant_id = 'b';
SELECT es_append('tenant-2', 'T', '2'), es_append('tenant-2', 'T', '3');
ROLLBACK TO s;
SELECT es_tenant(), es_stream_version('tenant-2');
SET LOCAL event_store.tenant_id = 'b';
SELECT es_append('tenant-2', 'T', '4', expected_version => 0);
SET LOCAL event_store.tenant_id = 'a';
SELECT es_append('tenant-2', 'T', '5', expected_version => 1);
COMMIT;
SELECT es_tenant() = '' AS none, es_stream_version('tenant-2');
SELECT tenant_id, version, ordinal, data FROM es_events WHERE stream_id = 'tenant-2' ORDER BY ordinal;

-- What looks alike is not the same: where a name ends counts, and case does.
SELECT quote_literal(set_config('event_store.tenant_id', t, false)) AS tenant, es_append(s, 'T', '1'), es_stream_version('tenant-3')
  FROM (VALUES ('x', 'ytenant-3'), ('xy', 'tenant-3'), ('XY', 'tenant-3'), ('xy ', 'tenant-3')) v(t, s);
RESET event_store.tenant_id;
SELECT quote_literal(tenant_id) AS tenant_id, stream_id, version FROM es_events WHERE stream_id LIKE '%tenant-3' ORDER BY es_events.tenant_id, stream_id;

-- A function of one tenant, a user of one tenant.
CREATE FUNCTION pg_temp.append_for_acme() RETURNS bigint LANGUAGE sql SET event_store.tenant_id = 'acme'
RETURN es_append('tenant-4', es_tenant(), '1');
SELECT pg_temp.append_for_acme();
SELECT es_tenant() = '' AS none, es_stream_version('tenant-4');
SELECT tenant_id, event_type FROM es_events WHERE stream_id = 'tenant-4';
CREATE ROLE regress_es_tenant;
ALTER ROLE regress_es_tenant SET event_store.tenant_id = 'of the role';
SELECT es_grant('regress_es_tenant', 'writer');
SET ROLE regress_es_tenant;
SET event_store.tenant_id = 'any user may';
SELECT es_append('tenant-4', es_tenant(), '1');
RESET ROLE;
SELECT es_revoke('regress_es_tenant', 'writer');
DROP ROLE regress_es_tenant;
RESET event_store.tenant_id;

-- Names up to the limit; and what is refused.
SELECT set_config('event_store.tenant_id', repeat('t', 255), false) = repeat('t', 255) AS set;
SELECT es_append(repeat('s', 512), 'T', '1'), es_save_snapshot(repeat('s', 512), 1, '1', repeat('a', 255));
SELECT es_stream_version(repeat('s', 512)), length(tenant_id) FROM es_load_snapshot(repeat('s', 512));
RESET event_store.tenant_id;
\pset tuples_only on
\pset format unaligned
SELECT translate(regress.error_of(format('SET event_store.tenant_id = %L', t)), E'\t\x7f\u0085', '???')
  FROM (VALUES (repeat('t', 256)), (repeat('ä', 128)), (E'a\tb'), (E'a\u0085b'), (E'\x7f')) v(t);
SELECT regress.error_of(format('SELECT set_config(''event_store.tenant_id'', %L, false)', E'a\nb'));
SELECT regress.error_of('SET LOCAL event_store.tenant_id = ' || quote_literal(repeat('t', 255)));
SELECT regress.error_of(format('INSERT INTO es_events (tenant_id, stream_id, event_type, data) VALUES (%L, ''tenant-5'', ''T'', ''{}'')', t))
  FROM (VALUES (NULL), (repeat('t', 256)), (E'a\tb')) v(t);
SELECT regress.error_of(format('INSERT INTO es_snapshots (tenant_id, stream_id, version, state) VALUES (%L, ''tenant-1'', 1, ''{}'')', t))
  FROM (VALUES (NULL), (repeat('t', 256)), (E'a\tb')) v(t);
\pset tuples_only off
\pset format aligned
SELECT es_tenant() = '' AS unchanged;

-- Other settings of that name there are none.
SET event_store.tenant = 'x';
\echo :LAST_ERROR_SQLSTATE

-- A session that sets a wrong one before the library is loaded.
\c -
\set SHOW_CONTEXT never
SET event_store.tenant_id = E'a\tb';
SELECT es_tenant() = '' AS none;
-- And a right one.
\c -
SET event_store.tenant_id = 'acme';
SELECT es_append('tenant-6', es_tenant(), '1');
SELECT tenant_id, event_type FROM es_events WHERE stream_id = 'tenant-6';

SELECT * FROM es_check();
