// 100 events, no expected version.
import store from './store.mjs';
import again from './again.mjs';

export default async function setup(bench) {
	const { type, data, metadata, streams, random } = bench;
	const { appendToStream } = store(bench);

	return () => again(() => appendToStream(`order-${random(streams)}`, Array.from({ length: 100 }, () => ({ type, data, metadata }))));
}
