// Makes the objects of Emmett in PGDATABASE, as an application does when it starts.

import { createRequire } from 'node:module';

const { PGUSER, PGHOST, PGPORT, PGDATABASE, BENCH_NODE } = process.env;
const { getPostgreSQLEventStore } = createRequire(`${BENCH_NODE}/`)('@event-driven-io/emmett-postgresql');
const store = getPostgreSQLEventStore(`postgresql://${PGUSER}@${encodeURIComponent(PGHOST)}:${PGPORT ?? 5432}/${PGDATABASE}`);

await store.schema.migrate();
await store.close();
