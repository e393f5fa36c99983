-- es_first, es_last, es_count_if: ordinary aggregates, in any SQL.
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA regress_agg;
SET search_path = regress_agg, public, regress;

-- In the order of the input; NULLs are left out.
SELECT es_first(x), es_last(x) FROM (VALUES (NULL), (3), (1), (NULL), (2), (NULL)) v(x);
SELECT es_first(x ORDER BY x DESC), es_last(x ORDER BY x DESC) FROM (VALUES (NULL), (3), (1), (NULL), (2), (NULL)) v(x);
SELECT es_first(x), es_last(x), es_count_if(x > 0) FROM (SELECT 1 AS x WHERE false) v;
SELECT es_first(NULL::text), es_last(NULL::text, 1), es_count_if(NULL);
-- By an order number, whatever the order of the input; NULL is no number. Of equal numbers the first one, and the last one.
SELECT es_first(x, n), es_last(x, n) FROM (VALUES ('b', 2), (NULL, 1), ('d', NULL), ('c', 3), (NULL, 9), ('a', 1), ('A', 1), ('C', 3)) v(x, n);
SELECT es_first(x, n), es_last(x, n) FROM (VALUES (1.5, -9223372036854775808), (2.25, 9223372036854775807), (3, 0)) v(x, n);
-- Types by value and by reference, arrays, rows, domains, long values.
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE pair AS (a int, b text);
SELECT es_last(x::smallint, x), es_last(x = 2, x), es_last(x::float8, x), es_last(ARRAY[x, x], x), es_last(x::positive, x), es_last(ROW(x, 'b')::pair, x),
       (es_first(ROW(x, 'b')::pair)).a, pg_typeof(es_last(x::positive)), es_last(jsonb_build_object('x', x), x), es_last(int4range(0, x), x), es_last('{00000000-0000-0000-0000-000000000001}'::uuid, x)
  FROM generate_series(1, 3) x;
SELECT k, length(es_first(x, n)), md5(es_last(x, n)) = md5(repeat('z', 100000)) AS last FROM (SELECT n % 2 AS k, n, repeat(CASE WHEN n > 8 THEN 'z' ELSE 'y' END, n * 10000) AS x FROM generate_series(1, 10) n) v GROUP BY k ORDER BY k;
SELECT es_first('x'::text), es_last(y COLLATE "C") < 'b' AS c FROM (VALUES ('B')) v(y);
-- FILTER, DISTINCT, HAVING.
SELECT n % 3 AS k, es_first(n, n) FILTER (WHERE n > 4), es_last(DISTINCT n / 4), es_count_if(n > 5) FROM generate_series(1, 9) n GROUP BY 1 HAVING es_count_if(n > 5) > 0 ORDER BY 1;

-- As window functions; es_count_if moves with its frame.
SELECT n, es_first(n) OVER w, es_last(n) OVER w, es_first(n, -n) OVER w, es_last(n, -n) OVER w, es_count_if(n % 2 = 0) OVER w
  FROM (VALUES (1), (2), (NULL), (4), (6)) v(n) WINDOW w AS (ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING);

-- In parallel, from a table and from an index; against a query without them.
CREATE TABLE many AS
  SELECT n, n % 101 AS k, CASE WHEN n % 7 > 0 THEN md5(n::text) END AS t, CASE WHEN n % 5 > 0 THEN n * 3 END AS i, (n * 7919) % 30011 AS place FROM generate_series(1, 30000) n;
ANALYZE many;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT es_first(t, place), es_last(i, place), es_count_if(n > 9) FROM many;
CREATE TABLE results AS SELECT k, es_first(t, place) AS ft, es_last(t, place) AS lt, es_first(i, place) AS fi, es_last(i, place) AS li, es_count_if(i > 100) AS n FROM many GROUP BY k;
SELECT count(*) FROM results r WHERE ROW(ft, lt, fi, li, n) IS DISTINCT FROM
  ROW((SELECT t FROM many m WHERE m.k = r.k AND t IS NOT NULL ORDER BY place LIMIT 1), (SELECT t FROM many m WHERE m.k = r.k AND t IS NOT NULL ORDER BY place DESC LIMIT 1),
      (SELECT i FROM many m WHERE m.k = r.k AND i IS NOT NULL ORDER BY place LIMIT 1), (SELECT i FROM many m WHERE m.k = r.k AND i IS NOT NULL ORDER BY place DESC LIMIT 1),
      (SELECT count(*) FROM many m WHERE m.k = r.k AND i > 100));
SELECT es_first(t, place) = (SELECT t FROM many WHERE t IS NOT NULL ORDER BY place LIMIT 1) AS first, es_last(ARRAY[n, place], place) AS last, es_last(t, place) FILTER (WHERE false) AS none FROM many;
RESET max_parallel_workers_per_gather;

-- The hash that splits streams: the same for ever.
SELECT s, es_stream_partition(s, 1) AS of_1, es_stream_partition(s, 2) AS of_2, es_stream_partition(s, 7) AS of_7, es_stream_partition(s, 64) AS of_64
  FROM (VALUES (''), ('a'), ('order-1'), ('order-2'), ('order-42'), ('order-0190a6b2-7f1e-7c3d-8f00-000000000001')) v(s);
SELECT p, count(*) BETWEEN 2300 AND 2700 AS even FROM (SELECT es_stream_partition('order-' || n, 4) AS p FROM generate_series(1, 10000) n) v GROUP BY p ORDER BY p;
SELECT es_stream_partition(NULL, 2), es_stream_partition('a', NULL);
SELECT regress.error_of('SELECT es_stream_partition(''a'', 0)'), regress.error_of('SELECT es_stream_partition(''a'', 65)'), regress.error_of('SELECT es_stream_partition(''a'', -1)');

RESET search_path;
DROP SCHEMA regress_agg CASCADE;
