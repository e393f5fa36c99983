-- The next n messages of a consumer of the category "order", by get_category_messages: message-db's
-- consumers read a category each, from the position after the last one they have seen.
CREATE FUNCTION public.bench_consume(after text, n integer) RETURNS TABLE (n_events bigint, new_after text)
LANGUAGE plpgsql AS $$
DECLARE
	message record;
BEGIN
	n_events := 0;
	new_after := after;
	FOR message IN SELECT * FROM get_category_messages('order', coalesce(nullif(after, ''), '0')::bigint + 1, n) LOOP
		n_events := n_events + 1;
		new_after := message.global_position;
	END LOOP;
	RETURN NEXT;
END $$;
