\set stream random(0, :streams - 1)
SELECT es_append_batch('account-' || :stream, :types, :datas, :metadatas);
