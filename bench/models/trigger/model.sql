-- What people write by hand: a table, and a row trigger with an upsert.
CREATE TABLE order_totals (stream text PRIMARY KEY, events bigint NOT NULL, total numeric NOT NULL);

CREATE FUNCTION order_totals_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO order_totals AS t (stream, events, total)
  VALUES (new.stream, 1, (new.data->>'total')::numeric)
  ON CONFLICT (stream) DO UPDATE SET events = t.events + 1, total = t.total + excluded.total;
  RETURN NULL;
END $$;
CREATE TRIGGER order_totals_add AFTER INSERT ON diy_events FOR EACH ROW EXECUTE FUNCTION order_totals_add();

CREATE VIEW bench_model AS SELECT stream, events, total FROM order_totals;
\ir ../truth.diy.sql
