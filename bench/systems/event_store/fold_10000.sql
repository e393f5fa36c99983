\set stream random(1, 10)
\set n :n + 1
\if :n = 0
SET event_store.state_cache_size = 0;
\endif
SELECT es_state('large-' || :stream, aggregate => 'large');
