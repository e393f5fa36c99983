// A pool of node-postgres with a connection for each client. Statements have names: they are
// prepared once a connection.

export default function store({ require, connectionString, clients }) {
	const { Pool } = require('pg');

	return new Pool({ connectionString, max: clients });
}
