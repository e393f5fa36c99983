// A stream of ten events.
import store from './store.mjs';

export default async function setup(bench) {
	const { small, random } = bench;
	const { readStream } = store(bench);

	return async () => {
		const { events } = await readStream(`small-${random(small)}`);

		if (events.length !== 10)
			throw new Error(`${events.length} events instead of 10`);
	};
}
