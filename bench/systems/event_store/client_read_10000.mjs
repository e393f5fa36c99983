// A stream of 10,000 events.
import store from './store.mjs';

export default async function setup(bench) {
	const { large, random } = bench;
	const pool = store(bench);

	return async () => {
		const { rows } = await pool.query({
			name: 'read_stream',
			text: 'SELECT stream_id, version, event_type, schema_version, data, metadata, event_id, recorded_at FROM es_read_stream($1)',
			values: [`large-${random(large)}`],
		});

		if (rows.length === 0)
			throw new Error('no events');
	};
}
