\set stream random(1, 10)
SELECT es_state('large-' || :stream, at_version => 10000, aggregate => :saved);
