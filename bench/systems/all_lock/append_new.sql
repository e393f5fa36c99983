\set stream random(100000000000000000, 999999999999999999)
SELECT all_append('order-' || :stream, ARRAY[:type], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb]);
