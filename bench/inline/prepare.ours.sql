-- The same as an inline view.
SELECT es_create_view('account', $$
  SELECT stream_id AS account, count(*) AS entries, sum((data->>'total')::numeric) AS total, max(version) AS newest
  FROM es_log GROUP BY stream_id
$$, mode => 'inline');
VACUUM ANALYZE account;
