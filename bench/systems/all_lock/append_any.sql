\set stream random(1, :streams)
SELECT all_append('order-' || :stream, ARRAY[:type], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb]);
