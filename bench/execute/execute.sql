SELECT version, state FROM es_execute('account-' || :client_id, '{"amount": 1}');
