// The state of a stream of 10,000 events, folded by the client.
import store from './store.mjs';
import { evolve, initialState } from './order.mjs';

export default async function setup(bench) {
	const { large, random } = bench;
	const eventStore = store(bench);

	return async () => {
		const { state } = await eventStore.aggregateStream(`large-${random(large)}`, { evolve, initialState });

		if (state.orders === 0)
			throw new Error('no events');
	};
}
