// A stream of 10,000 events.
import store from './store.mjs';

export default async function setup(bench) {
	const { large, random } = bench;
	const { readStream } = store(bench);

	return async () => {
		const { events } = await readStream(`large-${random(large)}`);

		if (events.length === 0)
			throw new Error('no events');
	};
}
