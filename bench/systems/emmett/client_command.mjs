// A command by its CommandHandler: read the stream, fold it, decide, append at the version read.
import store from './store.mjs';
import { evolve, initialState } from './order.mjs';

export default async function setup(bench) {
	const { require, type, data, metadata, streams, random } = bench;
	const { CommandHandler } = require('@event-driven-io/emmett');
	const eventStore = store(bench);
	const handle = CommandHandler({ evolve, initialState, retry: { onVersionConflict: true } });
	const decide = (state) => state.total < 0 ? [] : { type, data, metadata };

	return () => handle(eventStore, `order-${random(streams)}`, decide);
}
