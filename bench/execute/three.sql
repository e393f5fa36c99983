SELECT es_stream_version('other-' || :client_id) AS version, coalesce(es_state('other-' || :client_id, aggregate => 'account'), '{"balance": 0}') AS state \gset
SELECT jsonb_build_array(account_decide(:state, '{"amount": 1}')) AS events \gset
SELECT es_append_json('other-' || :client_id, :events, :version);
