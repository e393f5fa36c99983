-- 10 streams of 10,000 events, interleaved, with snapshots at 9,950.
-- psql variables: data, metadata.
CREATE FUNCTION evolve_plpgsql(state jsonb, e es_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  CASE e.event_type
    WHEN 'OrderPlaced' THEN
      RETURN jsonb_build_object('customer', e.data->'customer', 'orders', coalesce((state->>'orders')::int, 0) + 1,
                                'total', coalesce((state->>'total')::numeric, 0) + (e.data->>'total')::numeric);
    WHEN 'OrderCancelled' THEN RETURN state || '{"cancelled": true}';
    ELSE RETURN state;
  END CASE;
END $$;
CREATE FUNCTION evolve_sql(state jsonb, e es_event) RETURNS jsonb LANGUAGE sql AS $$
  SELECT CASE (e).event_type
    WHEN 'OrderPlaced' THEN
      jsonb_build_object('customer', (e).data->'customer', 'orders', coalesce((state->>'orders')::int, 0) + 1,
                         'total', coalesce((state->>'total')::numeric, 0) + ((e).data->>'total')::numeric)
    WHEN 'OrderCancelled' THEN state || '{"cancelled": true}'
    ELSE state END
$$;
CREATE FUNCTION total_step(state numeric, e es_event) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RETURN state + (e.data->>'total')::numeric; END $$;
CREATE AGGREGATE fold_plpgsql(es_event) (SFUNC = evolve_plpgsql, STYPE = jsonb);
CREATE AGGREGATE fold_sql(es_event) (SFUNC = evolve_sql, STYPE = jsonb);
CREATE AGGREGATE fold_total(es_event) (SFUNC = total_step, STYPE = numeric, INITCOND = '0');
SELECT es_create_aggregate('plpgsql', 'large', 'evolve_plpgsql', snapshot_every => NULL),
       es_create_aggregate('sql', 'large', 'evolve_sql', snapshot_every => NULL),
       es_create_aggregate('total', 'large', 'fold_total', snapshot_every => NULL),
       es_create_aggregate('plpgsql_saved', 'large', 'evolve_plpgsql', snapshot_every => 100);

INSERT INTO es_events (stream_id, event_type, data, metadata)
SELECT 'large-' || s, 'OrderPlaced', :'data'::jsonb, :'metadata'::jsonb
FROM generate_series(1, 9950) AS v, generate_series(1, 10) AS s
ORDER BY v, s;
SELECT es_rebuild_snapshots('plpgsql_saved');
INSERT INTO es_events (stream_id, event_type, data, metadata)
SELECT 'large-' || s, 'OrderPlaced', :'data'::jsonb, :'metadata'::jsonb
FROM generate_series(1, 50) AS v, generate_series(1, 10) AS s
ORDER BY v, s;

ALTER DATABASE bench SET event_store.state_cache_size = 0;
VACUUM ANALYZE es_events;
VACUUM ANALYZE es_snapshots;
