-- compare.sql: two comparisons. The store with the log must be equal: anything
-- else is an error of ours. The log with dpkg may differ, because a log can be
-- cut or begin late; each difference needs evidence for why.

SET client_min_messages = warning;
\t on
\pset format unaligned

-- The store against the log, read a second time by other means (awk).
DO $$
DECLARE
    stored constant bigint := demo.stored_events();
    lines constant bigint := (SELECT count(*) FROM demo.log_event);
    wrong record;
BEGIN
    IF stored <> lines THEN
        RAISE EXCEPTION 'the store holds % events of % lines', stored, lines;
    END IF;
    FOR wrong IN
        SELECT * FROM es_check()
    LOOP
        RAISE EXCEPTION 'es_check: %', wrong;
    END LOOP;
    FOR wrong IN
        SELECT * FROM es_verify('demo.installed_packages')
    LOOP
        RAISE EXCEPTION 'es_verify: %', wrong;
    END LOOP;
    FOR wrong IN
        SELECT package, l.version AS log_version, l.status AS log_status, f.version, f.status
        FROM demo.last_status_line l FULL JOIN demo.installed_packages f USING (package)
        WHERE (nullif(l.version, '<none>'), l.status) IS DISTINCT FROM (f.version, f.status)
    LOOP
        RAISE EXCEPTION 'the store does not say what the log says: %', wrong;
    END LOOP;
END $$;
SELECT format('store and log: equal (%s lines, %s events; the last status of %s packages; es_check and es_verify find nothing)',
              (SELECT count(*) FROM demo.log_event), demo.stored_events(), count(*))
FROM demo.last_status_line;

-- dpkg's view in the form of the read model. A package that dpkg has forgotten
-- (purged) is in neither.
CREATE VIEW demo.dpkg_now AS
SELECT demo.package_name(name || ':' || architecture) AS package, version, status
FROM demo.dpkg_line WHERE status <> 'not-installed';

CREATE VIEW demo.stored_now AS
SELECT package, version, status FROM demo.installed_packages WHERE status <> 'not-installed';

-- When dpkg last unpacked a package: it then writes the list of its files.
CREATE VIEW demo.unpacked AS
SELECT d.package, max(f.written_at) AS at
FROM demo.dpkg_now d
JOIN demo.list_file f ON demo.package_name(left(f.file, -length('.list'))) IN (d.package, split_part(d.package, ':', 1))
GROUP BY d.package;

CREATE FUNCTION demo.log_is_silent(at timestamp) RETURNS boolean
    RETURN NOT EXISTS (SELECT FROM demo.log_event e
                       WHERE e.at BETWEEN $1 - interval '1 second' AND $1 + interval '1 second');

-- before:   the log knows nothing of the package, and dpkg wrote its list of
--           files before the first line of the log.
-- unlogged: dpkg unpacked it after the last line about it, at a time when the
--           log has no line of anything: that run was not logged, or its part
--           of the log was deleted.
-- after:    dpkg wrote its database after the last line of the log: the end
--           of the log was deleted.
-- NULL:     no evidence. The demo fails.
CREATE TABLE demo.difference AS
SELECT package, d.version AS dpkg_version, d.status AS dpkg_status,
       s.version AS store_version, s.status AS store_status, u.at AS files_at, l.last_line_at,
       CASE WHEN l.last_line_at IS NULL AND u.at < log.first THEN 'before'
            WHEN u.at > coalesce(l.last_line_at, log.first) AND demo.log_is_silent(u.at) THEN 'unlogged'
            WHEN database.written_at > log.last AND demo.log_is_silent(database.written_at) THEN 'after'
       END AS explanation
FROM demo.dpkg_now d
FULL JOIN demo.stored_now s USING (package)
LEFT JOIN demo.unpacked u USING (package)
LEFT JOIN (SELECT substr(stream_id, length('package-') + 1) AS package, max(at) AS last_line_at
           FROM demo.log_event GROUP BY stream_id) AS l USING (package)
CROSS JOIN (SELECT min(at) AS first, max(at) AS last FROM demo.log_event) AS log
CROSS JOIN demo.status_file AS database
WHERE (d.version, d.status) IS DISTINCT FROM (s.version, s.status)
ORDER BY package;

-- One line for each explanation with its evidence, and one with the packages.
CREATE VIEW demo.report AS
WITH explained AS (
    SELECT explanation, count(*), min(files_at) AS first, max(files_at) AS last,
           string_agg(coalesce(package || '=' || dpkg_version, package || ' (gone)')
                      || CASE WHEN dpkg_status <> 'installed' THEN ' (' || dpkg_status || ')' ELSE '' END
                      || coalesce(' (in the log: ' || store_status || coalesce(' ' || store_version, '') || ')', ''),
                      ', ' ORDER BY package) AS packages
    FROM demo.difference WHERE explanation IS NOT NULL GROUP BY explanation
)
SELECT 0 AS place, format('dpkg-query: %s packages, %s the same in the store (version and status), %s differences',
       (SELECT count(*) FROM demo.dpkg_now),
       (SELECT count(*) FROM demo.dpkg_now JOIN demo.stored_now USING (package, version, status)),
       (SELECT count(*) FROM demo.difference)) AS line
UNION ALL
SELECT 1, format(E'\n%s not in the log, because it begins later: its first line is of %s, dpkg wrote their lists of files from %s to %s:',
       count, (SELECT min(at) FROM demo.log_event), first, last)
FROM explained WHERE explanation = 'before'
UNION ALL
SELECT 3, format(E'\n%s unpacked by runs of dpkg of which the log has no line: their lists of files are from %s to %s:',
       count, first, last)
FROM explained WHERE explanation = 'unlogged'
UNION ALL
SELECT 5, format(E'\n%s changed after the end of the log: its last line is of %s, dpkg wrote its database at %s:',
       count, (SELECT max(at) FROM demo.log_event), (SELECT written_at FROM demo.status_file))
FROM explained WHERE explanation = 'after'
UNION ALL
SELECT CASE explanation WHEN 'before' THEN 2 WHEN 'unlogged' THEN 4 ELSE 6 END, packages FROM explained
ORDER BY place;
