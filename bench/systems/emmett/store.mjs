// The store of the client workloads: a pool with a connection for each client. The schema
// is there, so that no call has to ask.

export default function store({ require, connectionString, clients }) {
	const { getPostgreSQLEventStore } = require('@event-driven-io/emmett-postgresql');
	const pg = require('pg');
	const pool = new pg.Pool({ connectionString, max: clients });

	return getPostgreSQLEventStore(connectionString, {
		schema: { autoMigration: 'None' },
		connectionOptions: { pooled: true, pool },
	});
}
