// node_slice.mjs: one slice of a workload of a client library.
//
//   node node_slice.mjs FILE
//
// FILE exports "async function setup(bench)", which returns "async function call(client, n)":
// one call of that client, its n-th; what it throws counts as an error and not as a call.
// BENCH_CLIENTS of them run at once, each its calls one after the other, for BENCH_SECONDS
// after a short warm-up. Prints
//
//   calls seconds errors p50 p95 p99 max all
//
// latencies in milliseconds; "all" are the calls with those of the warm-up, for CPU times
// that have been taken around this program.
//
// PGHOST (a directory), PGPORT, PGUSER and PGDATABASE name the server; BENCH_NODE is the
// directory that npm has installed into.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const warmUp = 250;             // milliseconds

const env = process.env;
const number = (name, other) => Number(env[name] ?? other);
const require = createRequire(`${env.BENCH_NODE}/`);
const data = JSON.parse(env.BENCH_DATA);
const metadata = JSON.parse(env.BENCH_METADATA);
const type = env.BENCH_TYPE ?? 'OrderPlaced';
const clients = number('BENCH_CLIENTS', 1);

const bench = {
	require,
	clients,
	slice: number('BENCH_SLICE', 1),
	streams: number('BENCH_STREAMS', 10000),        // order-1 ...
	small: number('BENCH_SMALL', 1000),             // small-1 ...
	large: 10,                                      // large-1 ...
	type,
	data,
	metadata,
	// A random whole number from 1 to so many.
	random: (many) => 1 + Math.floor(Math.random() * many),
	connectionString: `postgresql://${encodeURIComponent(env.PGUSER ?? 'postgres')}@${encodeURIComponent(env.PGHOST)}:` +
		`${env.PGPORT ?? 5432}/${encodeURIComponent(env.PGDATABASE ?? 'bench')}`,
};

// Runs all clients until the time is over. Latencies of calls that began before
// that are counted, and the slice ends with the last of them.
async function run(call, milliseconds, counters) {
	const began = performance.now();
	const loop = async (client) => {
		while (performance.now() - began < milliseconds) {
			const start = performance.now();
			try {
				await call(client, counters[client]++);
				latencies.push(performance.now() - start);
			} catch (error) {
				errors++;
				if (errors === 1)
					console.error(error);
			}
		}
	};
	const latencies = [];
	let errors = 0;
	await Promise.all(counters.map((_, client) => loop(client)));
	return { latencies, errors, seconds: (performance.now() - began) / 1000 };
}

function percentile(sorted, part) {
	return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

const { default: setup } = await import(pathToFileURL(process.argv[2]));
const call = await setup(bench);
const counters = Array(clients).fill(0);
const warm = await run(call, warmUp, counters);
const { latencies, errors, seconds } = await run(call, 1000 * number('BENCH_SECONDS', 2), counters);
const sorted = Float64Array.from(latencies).sort();
const figures = [0.5, 0.95, 0.99, 1].map((part) => percentile(sorted, part).toFixed(3));
process.stdout.write([latencies.length, seconds.toFixed(6), warm.errors + errors, ...figures,
	latencies.length + warm.latencies.length].join(' ') + '\n', () => process.exit(0));
