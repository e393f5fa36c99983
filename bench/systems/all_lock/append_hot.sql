SELECT all_append('hot-1', ARRAY[:type], ARRAY[:data::jsonb], ARRAY[:metadata::jsonb]);
