SELECT write_message(gen_random_uuid()::varchar, 'hot-' || :slice, :type, :data, :metadata);
