-- Two steps: what OrderPlaced has become. psql variable: body, "sql" or "plpgsql".
CREATE FUNCTION add_quantity(data jsonb) RETURNS jsonb IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN RETURN data || '{"quantity": 1}'; END $$;
CREATE FUNCTION add_channel(data jsonb) RETURNS jsonb IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN RETURN data || '{"channel": "web"}'; END $$;

SELECT es_register_event_type(:'type', 2, upcaster => CASE :'body' WHEN 'sql' THEN $$data || '{"quantity": 1}'$$ ELSE 'add_quantity' END);
SELECT es_register_event_type(:'type', 3, upcaster => CASE :'body' WHEN 'sql' THEN $$data || '{"channel": "web"}'$$ ELSE 'add_channel' END);
