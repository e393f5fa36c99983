// A stream of ten events.
import store from './store.mjs';

export default async function setup(bench) {
	const { small, random } = bench;
	const pool = store(bench);

	return async () => {
		const { rows } = await pool.query({
			name: 'read_stream',
			text: 'SELECT stream_id, version, event_type, schema_version, data, metadata, event_id, recorded_at FROM es_read_stream($1)',
			values: [`small-${random(small)}`],
		});

		if (rows.length !== 10)
			throw new Error(`${rows.length} events instead of 10`);
	};
}
