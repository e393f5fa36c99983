SELECT cardinality(:types::text[]), cardinality(:datas::jsonb[]), cardinality(:metadatas::jsonb[]);
