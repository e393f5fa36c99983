-- Views against the truth: what is filled from the beginning of a log and then
-- merged in uneven pieces is what the query gives over all of it; by the
-- view's own check, and by another query written by hand.
\set VERBOSITY default
CREATE SCHEMA regress_truth;
SET search_path = regress_truth, public;

-- A log of 700 events; what looks random is not.
CREATE FUNCTION dice(n bigint, salt text, sides int) RETURNS int LANGUAGE sql IMMUTABLE
RETURN (('x' || substr(md5(n || salt), 1, 7))::bit(28)::int % sides);
CREATE TABLE lookup (item text PRIMARY KEY, price numeric, grp text);
INSERT INTO lookup SELECT 'item-' || i, i * 1.25, CASE WHEN i % 3 > 0 THEN 'g' || i % 2 END FROM generate_series(0, 4) i;
CREATE TABLE log (LIKE es_log);
INSERT INTO log
  SELECT n, '2026-01-01 00:00+00'::timestamptz + n * interval '37 min',
         CASE dice(n, 'tenant', 4) WHEN 0 THEN 'acme' ELSE '' END,
         (ARRAY['order', 'cart', 'user'])[1 + dice(n, 'cat', 3)] || '-' || dice(n, 'stream', 12),
         n, md5(n::text)::uuid, (ARRAY['Placed', 'Paid', 'Shipped', 'Rated'])[1 + dice(n, 'type', 4)], 1,
         jsonb_strip_nulls(jsonb_build_object(
           'n', CASE WHEN dice(n, 'n', 5) > 0 THEN dice(n, 'nn', 2000) - 1000 END,
           'amount', CASE WHEN dice(n, 'a', 7) > 0 THEN round((dice(n, 'aa', 100000) - 30000) / 1000.0, dice(n, 'scale', 4)) END,
           'state', CASE WHEN dice(n, 's', 3) > 0 THEN 'state ' || dice(n, 'ss', 1000) END,
           'flag', CASE WHEN dice(n, 'f', 6) > 0 THEN dice(n, 'ff', 9) > 0 END,
           'region', CASE WHEN dice(n, 'r', 5) > 0 THEN 'r' || dice(n, 'rr', 4) END,
           'lines', (SELECT jsonb_agg(jsonb_build_object('item', 'item-' || dice(n * 31 + i, 'item', 7), 'qty', dice(n * 31 + i, 'q', 9)))
                       FROM generate_series(1, dice(n, 'lines', 4)) i))),
         CASE WHEN dice(n, 'meta', 2) > 0 THEN jsonb_build_object('user_id', 'u' || dice(n, 'u', 6)) ELSE '{}' END,
         '2026-01-01 00:00+00'::timestamptz + n * interval '31 min', n, 0
    FROM generate_series(1, 700) n;

-- What es_log is for the statements: a part of it.
CREATE TEMP VIEW es_log AS
  SELECT * FROM regress_truth.log
   WHERE "position" > current_setting('truth.after')::bigint AND "position" <= current_setting('truth.upto')::bigint;

CREATE PROCEDURE run(step_name text, query text) LANGUAGE plpgsql AS $$
DECLARE
  s text;
BEGIN
  FOR s IN SELECT statement FROM es_explain_view(query) WHERE step = step_name LOOP
    EXECUTE regexp_replace(regexp_replace(s, '\mname_state\M', 'regress_truth.kept_state', 'g'), '\mname\M', 'regress_truth.kept', 'g');
  END LOOP;
END $$;

-- Returns how many rows the table has in the end, and how they differ.
CREATE FUNCTION truth(query text, other text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  cuts    bigint[] := ARRAY[0, 230, 231, 232, 290, 290, 291, 500, 699, 700];
  i       int;
  sql     text;
  problem text;
  n       bigint;
BEGIN
  PERFORM set_config('client_min_messages', 'warning', true);
  DROP TABLE IF EXISTS kept, kept_state;
  PERFORM set_config('search_path', 'pg_temp, regress_truth, public', true);
  CALL run('create', query);
  FOR i IN 2 .. array_length(cuts, 1) LOOP
    PERFORM set_config('truth.after', cuts[i - 1]::text, true), set_config('truth.upto', cuts[i]::text, true);
    CALL run(CASE i WHEN 2 THEN 'fill' ELSE 'merge' END, query);
  END LOOP;
  PERFORM set_config('truth.after', '0', true), set_config('truth.upto', '700', true);
  SELECT regexp_replace(statement, '\mname\M', 'regress_truth.kept', 'g') INTO sql FROM es_explain_view(query) WHERE step = 'verify';
  EXECUTE format('SELECT string_agg(d::text, E''\n'') FROM (SELECT d FROM (%s) d LIMIT 3) d', sql) INTO problem;
  IF problem IS NOT NULL THEN
    RETURN 'verify: ' || problem;
  END IF;
  EXECUTE format($f$
    WITH e AS (SELECT to_jsonb(es_q)::text AS r, count(*) AS n FROM (%s) es_q GROUP BY 1), a AS (SELECT to_jsonb(es_k)::text AS r, count(*) AS n FROM regress_truth.kept es_k GROUP BY 1)
    SELECT string_agg(d::text, E'\n') FROM (SELECT e, a FROM e FULL JOIN a ON e.r = a.r AND e.n = a.n WHERE e.r IS NULL OR a.r IS NULL ORDER BY 1, 2 LIMIT 4) d $f$, other) INTO problem;
  IF problem IS NOT NULL THEN
    RETURN 'by hand: ' || problem;
  END IF;
  EXECUTE 'SELECT count(*) FROM regress_truth.kept' INTO n;
  RETURN n || ' rows';
END $$;

-- Counts and sums
SELECT truth($$SELECT stream_id AS account, sum((data->>'amount')::numeric) AS balance, count(*) AS entries, count(data->'amount') AS amounts
                 FROM es_log WHERE event_type IN ('Placed', 'Paid') GROUP BY stream_id$$,
             $$SELECT DISTINCT stream_id AS account,
                      (SELECT sum((data->>'amount')::numeric) FROM log i WHERE i.stream_id = o.stream_id AND event_type IN ('Placed', 'Paid')) AS balance,
                      (SELECT count(*) FROM log i WHERE i.stream_id = o.stream_id AND event_type IN ('Placed', 'Paid')) AS entries,
                      (SELECT count(*) FROM log i WHERE i.stream_id = o.stream_id AND event_type IN ('Placed', 'Paid') AND data ? 'amount') AS amounts
                 FROM log o WHERE event_type IN ('Placed', 'Paid')$$);
-- FILTER, NULL keys
SELECT truth($$SELECT data->>'region' AS region, count(*) FILTER (WHERE event_type = 'Paid') AS paid, sum((data->>'n')::int) FILTER (WHERE event_type = 'Rated') AS rated,
                      max(data->>'state') FILTER (WHERE false) AS never FROM es_log GROUP BY 1$$,
             $$SELECT r.region, (SELECT count(*) FROM log WHERE data->>'region' IS NOT DISTINCT FROM r.region AND event_type = 'Paid') AS paid,
                      (SELECT sum((data->>'n')::int) FROM log WHERE data->>'region' IS NOT DISTINCT FROM r.region AND event_type = 'Rated') AS rated, NULL::text AS never
                 FROM (SELECT DISTINCT data->>'region' AS region FROM log) r$$);
-- Sums of every type
SELECT truth($$SELECT event_type, sum((data->>'n')::smallint) AS s2, sum((data->>'n')::int) AS s4, sum((data->>'n')::bigint) AS s8, sum((data->>'amount')::numeric) AS sn,
                      sum((data->>'n')::int * interval '1 min') AS si, sum((data->>'amount')::numeric::money) AS sm FROM es_log GROUP BY event_type$$,
             $$SELECT event_type, sum((data->>'n')::smallint) AS s2, sum((data->>'n')::int) AS s4, sum((data->>'n')::bigint) AS s8, sum((data->>'amount')::numeric) AS sn,
                      sum((data->>'n')::int * interval '1 min') AS si, sum((data->>'amount')::numeric::money) AS sm FROM log GROUP BY event_type$$);
-- Averages of every type, as they are, in an expression, with FILTER
SELECT truth($$SELECT event_type, avg((data->>'n')::smallint) AS a2, avg((data->>'n')::int) AS a4, avg((data->>'n')::bigint) AS a8, avg((data->>'amount')::numeric) AS an,
                      avg((data->>'n')::int * interval '1 s') AS ai, round(avg((data->>'n')::int) FILTER (WHERE data->>'region' = 'r1'), 3) AS r1,
                      avg((data->>'n')::int) FILTER (WHERE false) AS none FROM es_log GROUP BY event_type$$,
             $$SELECT event_type, avg((data->>'n')::smallint) AS a2, avg((data->>'n')::int) AS a4, avg((data->>'n')::bigint) AS a8, avg((data->>'amount')::numeric) AS an,
                      avg((data->>'n')::int * interval '1 s') AS ai, round(avg((data->>'n')::int) FILTER (WHERE data->>'region' = 'r1'), 3) AS r1,
                      NULL::numeric AS none FROM log GROUP BY event_type$$);
-- NaN and infinity
SELECT truth($$SELECT event_type, sum(x) AS s, avg(x) AS a, min(x) AS l, max(x) AS g
                 FROM (SELECT event_type, CASE version % 100 WHEN 7 THEN 'NaN' WHEN 8 THEN 'Infinity' WHEN 9 THEN '-Infinity' ELSE version::numeric END AS x FROM es_log) q GROUP BY event_type$$,
             $$SELECT event_type, sum(x) AS s, avg(x) AS a, min(x) AS l, max(x) AS g
                 FROM (SELECT event_type, CASE version % 100 WHEN 7 THEN 'NaN' WHEN 8 THEN 'Infinity' WHEN 9 THEN '-Infinity' ELSE version::numeric END AS x FROM log) q GROUP BY event_type$$);
-- min and max of several types
SELECT truth($$SELECT stream_id, min((data->>'n')::int) AS least_n, max((data->>'n')::float8) AS greatest_n, min(data->>'state') AS s1, max(data->>'state' COLLATE "C") AS s2,
                      min(recorded_at) AS since, max(recorded_at::date) AS d, max(ARRAY[(data->>'n')::int, version::int]) AS a FROM es_log GROUP BY stream_id$$,
             $$SELECT DISTINCT stream_id, (SELECT (data->>'n')::int FROM log i WHERE i.stream_id = o.stream_id AND data ? 'n' ORDER BY 1 LIMIT 1) AS least_n,
                      (SELECT (data->>'n')::float8 FROM log i WHERE i.stream_id = o.stream_id AND data ? 'n' ORDER BY 1 DESC LIMIT 1) AS greatest_n,
                      (SELECT data->>'state' FROM log i WHERE i.stream_id = o.stream_id AND data ? 'state' ORDER BY 1 LIMIT 1) AS s1,
                      (SELECT data->>'state' FROM log i WHERE i.stream_id = o.stream_id AND data ? 'state' ORDER BY data->>'state' COLLATE "C" DESC LIMIT 1) AS s2,
                      (SELECT min(recorded_at) FROM log i WHERE i.stream_id = o.stream_id) AS since, (SELECT max(recorded_at)::date FROM log i WHERE i.stream_id = o.stream_id) AS d,
                      (SELECT max(ARRAY[(data->>'n')::int, version::int]) FROM log i WHERE i.stream_id = o.stream_id) AS a FROM log o$$);
-- Truth values
SELECT truth($$SELECT data->>'region' AS region, bool_and((data->>'flag')::bool) AS every_one, every((data->>'flag')::bool) AS e, bool_or((data->>'flag')::bool) AS one
                 FROM es_log GROUP BY data->>'region'$$,
             $$SELECT data->>'region' AS region, count(*) FILTER (WHERE data->>'flag' = 'false') = 0 AS every_one, count(*) FILTER (WHERE data->>'flag' = 'false') = 0 AS e,
                      count(*) FILTER (WHERE data->>'flag' = 'true') > 0 AS one FROM log GROUP BY data->>'region'$$);
SELECT truth($$SELECT stream_id, bool_and((data->>'flag')::bool) FILTER (WHERE version > 300) AS a, bool_or((data->>'flag')::bool) FILTER (WHERE version < 100) AS o FROM es_log GROUP BY 1$$,
             $$SELECT stream_id, (min(data->>'flag') FILTER (WHERE version > 300))::bool AS a, (max(data->>'flag') FILTER (WHERE version < 100))::bool AS o FROM log GROUP BY 1$$);
-- Bits
SELECT truth($$SELECT event_type, bit_and((data->>'n')::int | 512) AS a, bit_or((data->>'n')::bigint) AS o, bit_xor((data->>'n')::int) AS x, bit_or(((data->>'n')::int)::bit(12)) AS b
                 FROM es_log GROUP BY event_type$$,
             $$SELECT event_type, bit_and((data->>'n')::int | 512) AS a, bit_or((data->>'n')::bigint) AS o, bit_xor((data->>'n')::int) AS x, bit_or(((data->>'n')::int)::bit(12)) AS b
                 FROM log GROUP BY event_type$$);
-- Arrays in the order of the log, with NULLs; arrays of arrays
SELECT truth($$SELECT stream_id, array_agg(data->>'state') AS states, array_agg(version) FILTER (WHERE event_type = 'Paid') AS paid, array_agg(ARRAY[version, 1]) AS pairs,
                      array_agg(data->>'n' ORDER BY position) AS ordered FROM es_log GROUP BY stream_id$$,
             $$SELECT stream_id, array_agg(data->>'state' ORDER BY version) AS states, array_agg(version ORDER BY version) FILTER (WHERE event_type = 'Paid') AS paid,
                      array_agg(ARRAY[version, 1] ORDER BY version) AS pairs, array_agg(data->>'n' ORDER BY version) AS ordered FROM log GROUP BY stream_id$$);
-- Strings, with delimiters of several kinds
SELECT truth($$SELECT event_type, string_agg(data->>'state', ', ') AS s, string_agg(data->>'region', NULL) AS n, string_agg(data->>'region', '') FILTER (WHERE version % 3 = 0) AS f,
                      string_agg(stream_id, E'\'$n $o\n' ORDER BY position) AS q, string_agg((data->>'region')::bytea, '\x00ff'::bytea) AS b FROM es_log GROUP BY event_type$$,
             $$SELECT event_type, string_agg(data->>'state', ', ' ORDER BY version) AS s, string_agg(data->>'region', '' ORDER BY version) AS n,
                      string_agg(data->>'region', '' ORDER BY version) FILTER (WHERE version % 3 = 0) AS f, string_agg(stream_id, E'\'$n $o\n' ORDER BY version) AS q,
                      string_agg((data->>'region')::bytea, '\x00ff'::bytea ORDER BY version) AS b FROM log GROUP BY event_type$$);
-- jsonb
SELECT truth($$SELECT stream_id, jsonb_agg(data->'n') AS a, jsonb_agg(data->>'state') FILTER (WHERE data ? 'state') AS s, jsonb_object_agg(event_type, version) AS newest FROM es_log GROUP BY stream_id$$,
             $$SELECT stream_id, jsonb_agg(data->'n' ORDER BY version) AS a, jsonb_agg(data->>'state' ORDER BY version) FILTER (WHERE data ? 'state') AS s,
                      jsonb_object_agg(event_type, version ORDER BY version) AS newest FROM log GROUP BY stream_id$$);
-- Ranges
SELECT truth($$SELECT event_type, range_agg(int8range(version, version + 3)) AS r, range_intersect_agg(int8range(-version, version * 1000)) AS i FROM es_log GROUP BY event_type$$,
             $$SELECT event_type, range_agg(int8range(version, version + 3)) AS r, range_intersect_agg(int8range(-version, version * 1000)) AS i FROM log GROUP BY event_type$$);
-- The oldest and the newest value that is not NULL
SELECT truth($$SELECT stream_id, es_first(data->>'state') AS first_state, es_last(data->>'state') AS state, es_last(event_type) AS event_type,
                      es_last((data->>'n')::int) FILTER (WHERE event_type = 'Rated') AS rating, es_last(data) AS newest, es_first(recorded_at, position) AS since,
                      es_count_if((data->>'flag')::bool) AS flags FROM es_log GROUP BY stream_id$$,
             $$SELECT DISTINCT stream_id, (SELECT data->>'state' FROM log i WHERE i.stream_id = o.stream_id AND data ? 'state' ORDER BY version LIMIT 1) AS first_state,
                      (SELECT data->>'state' FROM log i WHERE i.stream_id = o.stream_id AND data ? 'state' ORDER BY version DESC LIMIT 1) AS state,
                      (SELECT event_type FROM log i WHERE i.stream_id = o.stream_id ORDER BY version DESC LIMIT 1) AS event_type,
                      (SELECT (data->>'n')::int FROM log i WHERE i.stream_id = o.stream_id AND data ? 'n' AND event_type = 'Rated' ORDER BY version DESC LIMIT 1) AS rating,
                      (SELECT data FROM log i WHERE i.stream_id = o.stream_id ORDER BY version DESC LIMIT 1) AS newest,
                      (SELECT min(recorded_at) FROM log i WHERE i.stream_id = o.stream_id) AS since,
                      (SELECT count(*) FROM log i WHERE i.stream_id = o.stream_id AND data->'flag' = 'true') AS flags FROM log o$$);
-- Columns computed from columns
SELECT truth($$SELECT event_type, count(*) AS n, sum((data->>'amount')::numeric) AS s, sum((data->>'amount')::numeric) / count(*) AS per_event,
                      CASE WHEN count(*) > 170 THEN 'many' ELSE event_type || ': few' END AS size FROM es_log GROUP BY event_type$$,
             $$SELECT *, s / n AS per_event, CASE WHEN n > 170 THEN 'many' ELSE event_type || ': few' END AS size
                 FROM (SELECT event_type, count(*) AS n, sum((data->>'amount')::numeric) AS s FROM log GROUP BY event_type) q$$);
-- ... which must not be computed for a batch alone, where it would fail
SELECT truth($$SELECT event_type, count(*) AS n, sum(CASE WHEN version < 200 THEN 1 ELSE 0 END) AS early, count(*) / sum(CASE WHEN version < 200 THEN 1 ELSE 0 END) AS ratio FROM es_log GROUP BY event_type$$,
             $$SELECT *, n / early AS ratio FROM (SELECT event_type, count(*) AS n, sum(CASE WHEN version < 200 THEN 1 ELSE 0 END) AS early FROM log GROUP BY event_type) q$$);
-- Columns computed from what is no column
SELECT truth($$SELECT coalesce(data->>'region', '?') AS region, round(100.0 * es_count_if(event_type = 'Paid') / count(*), 2) AS percent,
                      (sum((data->>'n')::int) - min((data->>'n')::int))::text AS t, 'r: ' || coalesce(data->>'region', '?') AS label FROM es_log GROUP BY 1$$,
             $$SELECT region, round(100.0 * p / n, 2) AS percent, (s - m)::text AS t, 'r: ' || region AS label
                 FROM (SELECT coalesce(data->>'region', '?') AS region, count(*) AS n, count(*) FILTER (WHERE event_type = 'Paid') AS p, sum((data->>'n')::int) AS s, min((data->>'n')::int) AS m FROM log GROUP BY 1) q$$);
-- One row; computed; over a log without such events
SELECT truth($$SELECT count(*) AS events, max(version) AS newest, sum((data->>'n')::int) FILTER (WHERE event_type = 'None') AS none FROM es_log$$,
             $$SELECT 700::bigint AS events, 700::bigint AS newest, NULL::bigint AS none$$);
SELECT truth($$SELECT avg((data->>'amount')::numeric) AS average, es_last(data->>'state') || '!' AS state, count(*) + 1 AS one_more FROM es_log$$,
             $$SELECT (SELECT avg((data->>'amount')::numeric) FROM log) AS average, (SELECT data->>'state' || '!' FROM log WHERE data ? 'state' ORDER BY version DESC LIMIT 1) AS state, 701::bigint AS one_more$$);
SELECT truth($$SELECT count(*) AS n, avg(version) AS average, array_agg(version) AS a FROM es_log WHERE event_type = 'None'$$,
             $$SELECT 0::bigint AS n, NULL::numeric AS average, NULL::bigint[] AS a$$);
-- Plain; rows that are equal, from a function in the select list
SELECT truth($$SELECT position, stream_id, data->>'state' AS state, metadata::json AS meta FROM es_log WHERE event_type <> 'Paid'$$,
             $$SELECT position, stream_id, data->>'state' AS state, metadata::json AS meta FROM log WHERE event_type <> 'Paid'$$);
SELECT truth($$SELECT event_type, jsonb_array_elements(data->'lines')->>'item' AS item FROM es_log$$,
             $$SELECT l.event_type, e->>'item' AS item FROM log l CROSS JOIN jsonb_array_elements(l.data->'lines') e$$);
-- Keys only
SELECT truth($$SELECT event_type, data->>'region' AS region FROM es_log GROUP BY event_type, data->>'region'$$,
             $$SELECT DISTINCT event_type, data->>'region' AS region FROM log$$);
-- Lines of orders; a function in GROUP BY
SELECT truth($$SELECT l->>'item' AS item, sum((l->>'qty')::int) AS qty, count(*) AS n FROM es_log, jsonb_array_elements(data->'lines') l WHERE event_type = 'Placed' GROUP BY 1$$,
             $$SELECT e->>'item' AS item, sum((e->>'qty')::int) AS qty, count(*) AS n FROM (SELECT jsonb_array_elements(data->'lines') AS e FROM log WHERE event_type = 'Placed') q GROUP BY 1$$);
SELECT truth($$SELECT jsonb_array_elements(data->'lines')->>'item' AS item, count(*) AS n, avg(version) AS v FROM es_log GROUP BY 1$$,
             $$SELECT e->>'item' AS item, count(*) AS n, avg(version) AS v FROM log, jsonb_array_elements(data->'lines') e GROUP BY 1$$);
-- Lines in their order within the event
SELECT truth($$SELECT l.item, array_agg(l.qty) AS qtys, es_last(l.qty) AS newest, es_first(e.version * 10 + l.qty) AS oldest
                 FROM es_log e CROSS JOIN LATERAL jsonb_to_recordset(e.data->'lines') AS l(item text, qty int) GROUP BY l.item$$,
             $$SELECT l->>'item' AS item, array_agg((l->>'qty')::int ORDER BY version, n) AS qtys, (array_agg((l->>'qty')::int ORDER BY version DESC, n DESC))[1] AS newest,
                      (array_agg(version * 10 + (l->>'qty')::int ORDER BY version, n))[1] AS oldest
                 FROM log, jsonb_array_elements(data->'lines') WITH ORDINALITY AS x(l, n) GROUP BY 1$$);
SELECT truth($$SELECT event_type, string_agg(l->>'item', ' ') AS items, es_last(l.value) AS newest
                 FROM es_log e LEFT JOIN jsonb_array_elements(e.data->'lines') l ON l->>'qty' > '3' LEFT JOIN lookup k ON k.item = l->>'item' GROUP BY event_type$$,
             $$SELECT event_type, string_agg(l->>'item', ' ' ORDER BY version, n) AS items, (jsonb_agg(l ORDER BY version DESC, n DESC) FILTER (WHERE l IS NOT NULL))->0 AS newest
                 FROM log LEFT JOIN jsonb_array_elements(data->'lines') WITH ORDINALITY AS x(l, n) ON l->>'qty' > '3' GROUP BY event_type$$);
SELECT truth($$SELECT event_type, array_agg(l.item ORDER BY position, l.item DESC, l.qty) AS items FROM es_log, jsonb_to_recordset(data->'lines') AS l(item text, qty int) GROUP BY 1$$,
             $$SELECT event_type, array_agg(l->>'item' ORDER BY version, l->>'item' DESC) AS items FROM log, jsonb_array_elements(data->'lines') l GROUP BY 1$$);
SELECT truth($$SELECT q.item, array_agg(q.n) AS a, es_last(t) AS t
                 FROM lookup k JOIN (SELECT version AS n, x->>'item' AS item, u AS t FROM es_log e LEFT JOIN jsonb_array_elements(e.data->'lines') x ON true, unnest(ARRAY['a', 'b']) u) q USING (item) GROUP BY 1$$,
             $$SELECT x->>'item' AS item, array_agg(version ORDER BY version, o, u) AS a, 'b' AS t FROM log, jsonb_array_elements(data->'lines') WITH ORDINALITY y(x, o), unnest(ARRAY['a', 'b']) u
                WHERE x->>'item' IN (SELECT item FROM lookup) GROUP BY 1$$);
-- Look-ups: inner and outer joins, USING, a primary key in GROUP BY
SELECT truth($$SELECT k.item, k.price, k.grp || '/' || count(*) AS label, sum(k.price * (l->>'qty')::int) AS value
                 FROM es_log, jsonb_array_elements(data->'lines') l JOIN lookup k ON k.item = l->>'item' GROUP BY k.item$$,
             $$SELECT item, price, grp || '/' || (SELECT count(*) FROM log, jsonb_array_elements(data->'lines') l WHERE l->>'item' = item) AS label,
                      (SELECT sum(price * (l->>'qty')::int) FROM log, jsonb_array_elements(data->'lines') l WHERE l->>'item' = item) AS value FROM lookup$$);
SELECT truth($$SELECT k.item, k.price, count(*) AS n FROM es_log, jsonb_array_elements(data->'lines') l JOIN lookup k ON k.item = l->>'item' GROUP BY k.item$$,
             $$SELECT item, price, (SELECT count(*) FROM log, jsonb_array_elements(data->'lines') l WHERE l->>'item' = item) AS n FROM lookup$$);
SELECT truth($$SELECT grp, max(e.version) AS newest, count(*) AS n FROM es_log e LEFT JOIN lookup ON split_part(item, '-', 2) = split_part(e.stream_id, '-', 2) GROUP BY grp$$,
             $$SELECT grp, max(version) AS newest, count(*) AS n FROM (SELECT version, (SELECT grp FROM lookup WHERE item = 'item-' || split_part(stream_id, '-', 2)) FROM log) q GROUP BY grp$$);
SELECT truth($$SELECT item, price, max(e.version) AS newest, count(*) AS n
                 FROM es_log e JOIN (SELECT item, price, split_part(item, '-', 2) AS number FROM lookup) k ON number = split_part(stream_id, '-', 2) JOIN lookup AS again USING (item, price) GROUP BY item, price$$,
             $$SELECT item, price, max(version) AS newest, count(*) AS n FROM log JOIN lookup ON split_part(item, '-', 2) = split_part(stream_id, '-', 2) GROUP BY item, price$$);
-- Subqueries over other tables
SELECT truth($$SELECT event_type, count(*) AS n, (SELECT count(*) FROM lookup) AS items, avg((data->>'n')::int) * (SELECT max(price) FROM lookup WHERE item <> es_log.event_type) AS x
                 FROM es_log WHERE EXISTS (SELECT FROM lookup WHERE grp IS NOT NULL AND split_part(item, '-', 2) = split_part(stream_id, '-', 2)) GROUP BY event_type$$,
             $$SELECT event_type, count(*) AS n, 5::bigint AS items, avg((data->>'n')::int) * 5.00 AS x FROM log WHERE split_part(stream_id, '-', 2) IN ('1', '2', '4') GROUP BY event_type$$);
-- Subqueries and WITH that pass rows on
SELECT truth($$WITH paid AS (SELECT stream_id, data->>'region' AS region, (data->>'n')::int AS n FROM es_log WHERE event_type = 'Paid'), prices AS (SELECT max(price) AS p FROM lookup)
               SELECT region, es_last(n) AS newest, array_agg(stream_id) AS streams, sum(n) / (SELECT p FROM prices) AS s
                 FROM (SELECT region || '!' AS region, n, stream_id FROM paid WHERE region IS NOT NULL) q GROUP BY region$$,
             $$SELECT data->>'region' || '!' AS region, (array_agg((data->>'n')::int ORDER BY version DESC) FILTER (WHERE data ? 'n'))[1] AS newest, array_agg(stream_id ORDER BY version) AS streams,
                      sum((data->>'n')::int) / 5.00 AS s FROM log WHERE event_type = 'Paid' AND data ? 'region' GROUP BY 1$$);
-- Subqueries over one event
SELECT truth($$SELECT event_type, max(t.total) AS most, avg(t.total) AS average FROM es_log, LATERAL (SELECT sum((l->>'qty')::int) AS total FROM jsonb_array_elements(data->'lines') l) t GROUP BY event_type$$,
             $$SELECT event_type, max(total) AS most, avg(total) AS average FROM (SELECT event_type, (SELECT sum((l->>'qty')::int) FROM jsonb_array_elements(data->'lines') l) AS total FROM log) q GROUP BY event_type$$);
-- Time buckets
SELECT truth($$SELECT date_trunc('day', recorded_at) AS day, date_bin('6 hours', recorded_at, '2000-01-01') AS bin, extract(hour FROM recorded_at) AS hour, count(*) AS n, min(recorded_at) AS since FROM es_log GROUP BY 1, 2, 3$$,
             $$SELECT date_trunc('day', recorded_at) AS day, date_bin('6 hours', recorded_at, '2000-01-01') AS bin, extract(hour FROM recorded_at) AS hour, count(*) AS n, min(recorded_at) AS since FROM log GROUP BY 1, 2, 3$$);
-- Many keys, some NULL, of several types; a constant key
SELECT truth($$SELECT tenant_id, event_type, data->>'region' AS region, (data->>'flag')::bool AS flag, (data->>'n')::int / 500 AS n, data->'none' AS nothing, count(*) AS events, avg((data->>'amount')::numeric) AS average
                 FROM es_log GROUP BY 1, 2, 3, 4, 5, 6$$,
             $$SELECT tenant_id, event_type, data->>'region' AS region, (data->>'flag')::bool AS flag, (data->>'n')::int / 500 AS n, data->'none' AS nothing, count(*) AS events, avg((data->>'amount')::numeric) AS average
                 FROM log GROUP BY 1, 2, 3, 4, 5, 6$$);
SELECT truth($$SELECT 'all' AS constant, ARRAY[event_type, data->>'region'] AS a, data->'flag' AS j, int4range(0, (version % 3)::int) AS r, numeric '1.50' AS num, count(*) AS n FROM es_log GROUP BY 1, 2, 3, 4, 5$$,
             $$SELECT 'all' AS constant, ARRAY[event_type, data->>'region'] AS a, data->'flag' AS j, int4range(0, (version % 3)::int) AS r, numeric '1.50' AS num, count(*) AS n FROM log GROUP BY 1, 2, 3, 4, 5$$);
-- Names that need quotes, or that the statements use themselves
SELECT truth($$SELECT stream_id AS "Select", count(*) AS "a ""b""", avg(version) AS es_row, sum(version) + 1 AS "$n", max(version) AS t, min(version) AS c1, 1 AS sum_1 FROM es_log AS "From" GROUP BY 1$$,
             $$SELECT stream_id AS "Select", count(*) AS "a ""b""", avg(version) AS es_row, sum(version) + 1 AS "$n", max(version) AS t, min(version) AS c1, 1 AS sum_1 FROM log GROUP BY 1$$);
SELECT truth($$SELECT stream_id AS count_1, data->>'region' AS sum_2, avg(version) AS count_3, es_last(l) AS m FROM es_log AS es_old, jsonb_array_elements(data->'lines') AS excluded(l) GROUP BY 1, 2$$,
             $$SELECT stream_id AS count_1, data->>'region' AS sum_2, avg(version) AS count_3, (array_agg(l ORDER BY version DESC, n DESC))[1] AS m
                 FROM log, jsonb_array_elements(data->'lines') WITH ORDINALITY AS x(l, n) GROUP BY 1, 2$$);
-- Whole rows
SELECT truth($$SELECT event_type, count(to_jsonb(e)->'position') AS n, es_last(e.*::text) AS t, jsonb_agg(to_jsonb(e)->'data') AS d FROM es_log e GROUP BY 1$$,
             $$SELECT event_type, count(*) AS n, (array_agg(log.*::text ORDER BY version DESC))[1] AS t, jsonb_agg(data ORDER BY version) AS d FROM log GROUP BY 1$$);
-- Constants, whatever the settings
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = 0;
SELECT truth($$SELECT count(*) FILTER (WHERE recorded_at > timestamptz '03/01/2026 10:00') AS n, max(recorded_at + interval '1 year -2 days 03:00' - interval '-1-2') AS t, max((version * 0.1::float8 + float8 '0.30000000000000004')::text) AS f FROM es_log$$,
             $$SELECT (SELECT count(*) FROM log WHERE recorded_at > make_timestamptz(2026, 1, 3, 10, 0, 0)) AS n, (SELECT max(recorded_at) FROM log) + interval '1 year -2 days 03:00' - interval '-1-2' AS t,
                      (SELECT max((version * 0.1::float8 + float8 '0.30000000000000004')::text) FROM log) AS f$$);
RESET DateStyle;
RESET IntervalStyle;
RESET extra_float_digits;
-- DISTINCT and ORDER BY where they make no difference
SELECT truth($$SELECT event_type, min(DISTINCT data->>'state') AS a, bool_or(DISTINCT (data->>'flag')::bool) AS b, sum((data->>'n')::int ORDER BY data->>'n') AS s FROM es_log GROUP BY event_type$$,
             $$SELECT event_type, min(data->>'state') AS a, bool_or((data->>'flag')::bool) AS b, sum((data->>'n')::int) AS s FROM log GROUP BY event_type$$);

-- The check finds what is wrong.
CREATE FUNCTION differences(query text, change text) RETURNS TABLE (difference text, expected jsonb, actual jsonb) LANGUAGE plpgsql AS $$
DECLARE
  s text;
BEGIN
  PERFORM truth(query, query);
  PERFORM set_config('search_path', 'pg_temp, regress_truth, public', true), set_config('truth.after', '0', true), set_config('truth.upto', '700', true);
  EXECUTE change;
  SELECT regexp_replace(statement, '\mname\M', 'regress_truth.kept', 'g') INTO s FROM es_explain_view(query) WHERE step = 'verify';
  RETURN QUERY EXECUTE format('SELECT * FROM (%s) d ORDER BY 1, 2, 3', s);
END $$;
SELECT * FROM differences('SELECT event_type, count(*) AS n FROM es_log GROUP BY 1',
  $$WITH d AS (DELETE FROM kept WHERE event_type = 'Paid'), i AS (INSERT INTO kept VALUES ('Wrong', 7)) UPDATE kept SET n = 0 WHERE event_type = 'Rated'$$);
SELECT * FROM differences('SELECT data->>''region'' AS region, version % 2 AS odd, count(*) AS n FROM es_log GROUP BY 1, 2',
  $$UPDATE kept SET n = 0 WHERE region IS NULL$$);
SELECT * FROM differences('SELECT count(*) AS n, max(data->>''n'') AS t FROM es_log', $$UPDATE kept SET t = NULL$$);
SELECT * FROM differences('SELECT count(*) AS n FROM es_log', $$DELETE FROM kept$$);
SELECT * FROM differences('SELECT event_type, version % 2 AS odd, (data::json)->''flag'' AS flag FROM es_log WHERE version < 5',
  $$INSERT INTO kept SELECT * FROM kept WHERE odd = 0$$);

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA regress_truth CASCADE;
