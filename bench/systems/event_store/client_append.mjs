// One event, no expected version.
import store from './store.mjs';

export default async function setup(bench) {
	const { type, data, metadata, streams, random } = bench;
	const pool = store(bench);

	return () => pool.query({
		name: 'append',
		text: 'SELECT es_append($1, $2, $3, $4)',
		values: [`order-${random(streams)}`, type, data, metadata],
	});
}
