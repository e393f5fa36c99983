-- The trigger that people write, with its table.
CREATE TABLE account (account text COLLATE "C" PRIMARY KEY, entries bigint NOT NULL, total numeric NOT NULL, newest bigint NOT NULL);

CREATE FUNCTION keep_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.account AS a VALUES (new.stream_id, 1, (new.data->>'total')::numeric, new.version)
  ON CONFLICT (account) DO UPDATE
  SET entries = a.entries + excluded.entries, total = a.total + excluded.total, newest = greatest(a.newest, excluded.newest);
  RETURN NULL;
END $$;
CREATE TRIGGER keep_account AFTER INSERT ON es_events FOR EACH ROW EXECUTE FUNCTION keep_account();
CREATE TRIGGER keep_account AFTER INSERT ON bare_events FOR EACH ROW EXECUTE FUNCTION keep_account();

INSERT INTO account
SELECT stream_id, count(*), sum((data->>'total')::numeric), max(version) FROM es_events GROUP BY stream_id;
VACUUM ANALYZE account;
