-- More lines of the log arrive; es_wait is true once they are in the read model.
CALL demo.append_lines(:first, :last);
SELECT es_wait('demo.installed_packages', '1 min') AS kept;
SELECT position, package, status, version, upstream, since FROM demo.installed_packages
WHERE position > :head ORDER BY position;
