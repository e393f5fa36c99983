\set stream random(0, :streams - 1)
SELECT es_append('account-' || :stream, :type, :data, :metadata);
