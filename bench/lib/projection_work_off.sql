-- Resumes paused projections and waits for them. psql variable: names, an array.
SELECT es_resume_projection(name) FROM unnest(:'names'::text[]) AS name;
SELECT bool_and(es_wait(name, '10 min')) FROM unnest(:'names'::text[]) AS name;
