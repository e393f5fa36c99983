-- import.sql: the tables that take dpkg's log as it is, and the procedures
-- that make events of it. The variable `native` is the machine's architecture.

SET client_min_messages = warning;
CREATE SCHEMA demo;

CREATE TABLE demo.log_line (
    line bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    raw  text NOT NULL
);

-- What dpkg-query says, and when dpkg last wrote a package's list of files and
-- its own database: the evidence for compare.sql. Local time, like the log's.
CREATE TABLE demo.dpkg_line (name text, architecture text, version text, status text);
CREATE TABLE demo.list_file (file text, written_at timestamp);
CREATE TABLE demo.status_file (written_at timestamp);
CREATE TABLE demo.last_status_line (package text, version text, status text);

-- Packages of this architecture, or of none, go by their bare name; those of
-- another keep it: libc6 and libc6:i386 live side by side.
CREATE FUNCTION demo.package_name(name text) RETURNS text IMMUTABLE
    RETURN regexp_replace(name, ':(all|<none>|' || :'native' || ')$', '');

-- One event per line of the log. Its id depends on nothing but the line (and
-- on how many equal lines stand before it): importing a line again is a retry.
CREATE TABLE demo.log_event (
    line       bigint PRIMARY KEY,
    at         timestamp NOT NULL,
    stream_id  text NOT NULL,
    event_type text NOT NULL,
    data       jsonb NOT NULL,
    event_id   uuid NOT NULL
);

-- The words of a line are:
--   DATE TIME startup WHAT COMMAND
--   DATE TIME status STATE PACKAGE VERSION
--   DATE TIME ACTION PACKAGE INSTALLED-VERSION AVAILABLE-VERSION
--   DATE TIME conffile FILE DECISION
-- dpkg writes an action when it begins it, and a status when it is reached.
CREATE PROCEDURE demo.read_log() LANGUAGE plpgsql AS $$
DECLARE
    form constant text := '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ('
        'startup \S+ \S+|status \S+ \S+ \S+|conffile .+ (install|keep)|'
        '(install|upgrade|configure|trigproc|disappear|remove|purge) \S+ \S+ \S+)$';
    odd record;
BEGIN
    INSERT INTO demo.log_event
    SELECT line, at::timestamp,
           CASE WHEN what IN ('startup', 'conffile') THEN 'dpkg'
                ELSE 'package-' || demo.package_name(package) END,
           CASE what WHEN 'startup'   THEN 'DpkgStarted'
                     WHEN 'status'    THEN 'StatusChanged'
                     WHEN 'install'   THEN 'Installed'
                     WHEN 'upgrade'   THEN 'Upgraded'
                     WHEN 'configure' THEN 'Configured'
                     WHEN 'trigproc'  THEN 'TriggersProcessed'
                     WHEN 'disappear' THEN 'Disappeared'
                     WHEN 'remove'    THEN 'Removed'
                     WHEN 'purge'     THEN 'Purged'
                     WHEN 'conffile'  THEN 'ConffileDecided' END,
           jsonb_build_object('at', at) || CASE
               WHEN what = 'startup' THEN
                   jsonb_build_object('what', word[4], 'command', word[5])
               WHEN what = 'conffile' THEN
                   jsonb_build_object('file', regexp_replace(substr(raw, 30), ' \S+$', ''),
                                      'decision', word[cardinality(word)])
               ELSE jsonb_strip_nulls(jsonb_build_object(
                   'status', CASE WHEN what = 'status' THEN word[4] END,
                   'version', nullif(CASE WHEN what IN ('install', 'upgrade') THEN word[6]
                                          WHEN what = 'status' THEN word[6]
                                          ELSE word[5] END, '<none>'),
                   'previous', nullif(CASE WHEN what IN ('install', 'upgrade') THEN word[5] END, '<none>'),
                   'architecture', substring(package FROM ':([^:<]+)$')))
           END,
           md5(raw || ' ' || row_number() OVER (PARTITION BY raw ORDER BY line))::uuid
    FROM (SELECT *, word[3] AS what, substr(raw, 1, 19) AS at,
                 CASE WHEN word[3] = 'status' THEN word[5] ELSE word[4] END AS package
          FROM (SELECT line, raw, string_to_array(raw, ' ') AS word
                FROM demo.log_line WHERE raw ~ form) AS split) AS named
    ORDER BY line;

    SELECT count(*) AS lines, min(line) AS first INTO odd
    FROM demo.log_line l WHERE NOT EXISTS (SELECT FROM demo.log_event e WHERE e.line = l.line);
    IF odd.lines > 0 THEN
        RAISE INFO 'lines not of dpkg''s form, left out: %; the first is line %: "%"', odd.lines,
            odd.first, (SELECT left(raw, 80) FROM demo.log_line WHERE line = odd.first);
    END IF;
END $$;

-- Append the events of some lines in the order of the log, a thousand lines a
-- transaction, one es_append_batch per stream in each.
CREATE PROCEDURE demo.append_lines(first bigint, last bigint) LANGUAGE plpgsql AS $$
DECLARE
    lines_per_transaction constant int := 1000;
    told timestamptz := clock_timestamp();
    next bigint := first;
BEGIN
    WHILE next <= last LOOP
        PERFORM es_append_batch(stream_id, types, datas, event_ids => ids)
        FROM (SELECT stream_id, array_agg(event_type ORDER BY line) AS types,
                     array_agg(data ORDER BY line) AS datas, array_agg(event_id ORDER BY line) AS ids
              FROM demo.log_event
              WHERE line >= next AND line < next + lines_per_transaction AND line <= last
              GROUP BY stream_id ORDER BY min(line)) AS batch;
        COMMIT;
        next := next + lines_per_transaction;
        IF clock_timestamp() - told > interval '2 seconds' THEN
            told := clock_timestamp();
            RAISE INFO '  % of % lines', least(next - 1, last), last;
        END IF;
    END LOOP;
END $$;

-- The import ends here at first: what is behind it arrives later.
CREATE FUNCTION demo.import_end() RETURNS bigint
    RETURN (SELECT max(line) - least(30, max(line) / 2) FROM demo.log_event);

CREATE FUNCTION demo.stored_events() RETURNS bigint
    RETURN (SELECT count(*) FROM es_events WHERE es_category(stream_id) = 'package' OR stream_id = 'dpkg');

CREATE PROCEDURE demo.append_log() LANGUAGE plpgsql AS $$
DECLARE
    started constant timestamptz := clock_timestamp();
    seconds numeric;
    log record;
BEGIN
    SELECT count(*) AS lines, count(DISTINCT stream_id) AS streams, min(at) AS first, max(at) AS last
    INTO log FROM demo.log_event WHERE line <= demo.import_end();
    RAISE INFO '% lines, from % to %', log.lines, log.first, log.last;
    CALL demo.append_lines(1, demo.import_end());
    seconds := extract(epoch FROM clock_timestamp() - started);
    RAISE INFO '% events in % streams appended in % s: % events per second', log.lines, log.streams,
        round(seconds, 2), round(log.lines / greatest(seconds, 0.001));
END $$;

-- An importer that crashed starts over: events that are there are not appended
-- twice, because they have ids.
CREATE PROCEDURE demo.append_log_again() LANGUAGE plpgsql AS $$
DECLARE
    before constant bigint := demo.stored_events();
    started constant timestamptz := clock_timestamp();
BEGIN
    CALL demo.append_lines(1, demo.import_end());
    RAISE INFO 'the same import again, as after a crash: % new events (% s)', demo.stored_events() - before,
        round(extract(epoch FROM clock_timestamp() - started)::numeric, 2);
END $$;
