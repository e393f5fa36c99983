\set stream random(100000000000000000, 999999999999999999)
SELECT es_append_batch('order-' || :stream, array_fill(:type::text, ARRAY[1000]), array_fill(:data::jsonb, ARRAY[1000]), array_fill(:metadata::jsonb, ARRAY[1000]));
