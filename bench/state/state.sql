\set stream random(1, 10)
SELECT es_state('large-' || :stream, aggregate => :aggregate);
