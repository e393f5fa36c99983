// A command by es_execute: one call, decided in the server by command.setup.sql.
import store from './store.mjs';

export default async function setup(bench) {
	const { type, data, metadata, streams, random } = bench;
	const pool = store(bench);

	return () => pool.query({
		name: 'execute',
		text: 'SELECT version, state FROM es_execute($1, $2, aggregate => $3)',
		values: [`order-${random(streams)}`, { type, data, metadata }, 'order_total'],
	});
}
