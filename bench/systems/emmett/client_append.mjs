// One event, no expected version. The client does not try again after a conflict: we do.
import store from './store.mjs';
import again from './again.mjs';

export default async function setup(bench) {
	const { type, data, metadata, streams, random } = bench;
	const { appendToStream } = store(bench);

	return () => again(() => appendToStream(`order-${random(streams)}`, [{ type, data, metadata }]));
}
