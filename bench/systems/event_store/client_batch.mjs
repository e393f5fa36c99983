// 100 events, no expected version, as one JSON array.
import store from './store.mjs';

export default async function setup(bench) {
	const { type, data, metadata, streams, random } = bench;
	const pool = store(bench);

	return () => pool.query({
		name: 'append_batch',
		text: 'SELECT es_append_json($1, $2)',
		values: [`order-${random(streams)}`, JSON.stringify(Array.from({ length: 100 }, () => ({ type, data, metadata })))],
	});
}
