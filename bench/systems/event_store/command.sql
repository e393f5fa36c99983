\set stream random(0, :streams / 16 - 1) * 16 + :client_id + 1
SELECT version, state FROM es_execute('order-' || :stream, jsonb_build_object('type', :type::text, 'data', :data::jsonb, 'metadata', :metadata::jsonb), aggregate => 'order_total');
