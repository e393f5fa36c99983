-- The library must be the one that this script was made for, and find what the
-- script has made: this call looks all of it up, and fails with the reason.
SELECT es_stream_version('event_store-installation'::pg_catalog.text);
