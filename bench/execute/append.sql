SELECT es_append('plain-' || :client_id, 'MoneyMoved', '{"amount": 1}');
