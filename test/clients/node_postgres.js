#!/usr/bin/env node
//
// node_postgres.js: event_store from node-postgres, with parameters as that driver sends them.
//
'use strict';

const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

let pg;
try {
	pg = require('pg');
} catch (error) {
	console.log('1..0 # SKIP node-postgres is not installed');
	process.exit(0);
}

const database = 'client_node_postgres';
const texts = fs.readFileSync(path.join(__dirname, 'documents.jsonl'), 'utf8').split('\n').filter((line) => line !== '');
const types = texts.map((_, i) => `Document${i}`);
const ids = texts.map(() => crypto.randomUUID());
let number = 0;
let failed = 0;

// One assertion: a name, and what must not throw.
async function test(name, check) {
	number += 1;
	try {
		await check();
		console.log(`ok ${number} - ${name}`);
	} catch (error) {
		failed += 1;
		console.log(`not ok ${number} - ${name}`);
		console.log(String(error.stack || error).replace(/^/gm, '# '));
	}
}

async function refused(promise, code) {
	await assert.rejects(promise, (error) => {
		assert.strictEqual(error.code, code, `${error.code}: ${error.message}`);
		return true;
	});
}

async function newDatabase() {
	const client = new pg.Client();
	await client.connect();
	await client.query(`DROP DATABASE IF EXISTS ${database}`);
	await client.query(`CREATE DATABASE ${database}`);
	await client.end();
}

async function main() {
	await newDatabase();
	const client = new pg.Client({ database });
	await client.connect();
	await client.query('CREATE EXTENSION event_store');
	const value = async (sql, parameters) => Object.values((await client.query(sql, parameters)).rows[0])[0];

	// Strings, arrays of strings and of objects, numbers and nulls: the driver gives
	// none of them a type.
	await test('es_append with parameters', async () => {
		assert.strictEqual(await value('SELECT es_append($1, $2, $3)', ['order-1', 'Placed', { total: 7 }]), '1');
		assert.strictEqual(await value('SELECT es_append($1, $2, $3, $4, $5, $6, $7)',
			['order-1', 'Paid', { amount: '7.00' }, { user_id: 'ü' }, 1, crypto.randomUUID(), 2]), '2');
		assert.strictEqual(await value('SELECT es_append($1, $2, $3, $4, $5, $6, $7)',
			['order-1', 'Shipped', '"a JSON text"', null, null, null, null]), '3');
		assert.strictEqual(await value('SELECT es_append($1, $2, $3, expected_version => $4)', ['order-1', 'Closed', 'true', 3]), '4');
	});

	await test('es_append_batch with parameters', async () => {
		assert.strictEqual(await value('SELECT es_append_batch($1, $2, $3, expected_version => $4, event_ids => $5)',
			['batch-1', types, texts, 0, ids]), String(texts.length));
		assert.strictEqual(await value('SELECT es_append_batch($1, $2, $3, $4)',
			['batch-2', ['A', 'B'], [{ n: 1 }, { n: [2, 'zwei'] }], [{}, { traceparent: '00-1' }]]), '2');
		assert.strictEqual(await value('SELECT es_append_batch($1, $2, $3)', ['batch-2', [], []]), '2');
	});

	await test('a prepared statement', async () => {
		for (const n of [1, 2, 3, 4, 5, 6, 7]) {
			const result = await client.query({ name: 'append', text: 'SELECT es_append($1, $2, $3, expected_version => $4) AS version',
				values: ['prepared-1', 'E', { n }, n - 1] });
			assert.strictEqual(result.rows[0].version, String(n));
		}
	});

	await test('es_append_json with parameters', async () => {
		const events = texts.map((text, i) => `{"type": "${types[i]}", "data": ${text}, "id": "${ids[i]}"}`);
		assert.strictEqual(await value('SELECT es_append_json($1, $2)', ['json-1', `[${events.join(',')}]`]), String(texts.length));
		assert.strictEqual(await value('SELECT es_append_json($1, $2, $3)',
			['json-2', JSON.stringify([{ type: 'A', data: { n: 1 } }, { type: 'B', data: null, schema_version: 2 }]), 0]), '2');
	});

	for (const stream of ['batch-1', 'json-1']) {
		await test(`${stream}: the same JSON comes back`, async () => {
			const { rows } = await client.query('SELECT version, event_id, event_type, data, data::text AS text FROM es_read_stream($1)', [stream]);
			assert.deepStrictEqual(rows.map((row) => row.text), texts);
			assert.deepStrictEqual(rows.map((row) => row.data), texts.map((text) => JSON.parse(text)));
			assert.deepStrictEqual(rows.map((row) => row.event_type), types);
			assert.deepStrictEqual(rows.map((row) => row.event_id), ids);
			assert.deepStrictEqual(rows.map((row) => row.version), texts.map((_, i) => String(i + 1)));
		});
	}

	await test('es_read_stream with parameters', async () => {
		const { rows } = await client.query('SELECT version FROM es_read_stream($1, $2, $3, $4)', ['batch-1', 3, 2, true]);
		assert.deepStrictEqual(rows.map((row) => row.version), ['3', '2']);
	});

	await test('a conflict is known by its SQLSTATE', async () => {
		const append = client.query('SELECT es_append_batch($1, $2, $3, expected_version => $4)', ['batch-1', ['E'], ['1'], 1]);
		await assert.rejects(append, (error) => {
			assert.strictEqual(error.code, 'PE001');
			assert.strictEqual(error.message, `wrong version of stream "batch-1": expected 1, found ${texts.length}`);
			assert.strictEqual(error.hint, 'Read the stream again and retry.');
			return true;
		});
	});

	await test('in a transaction too, and a savepoint saves it', async () => {
		await client.query('BEGIN');
		assert.strictEqual(await value('SELECT es_append($1, $2, $3)', ['saved-1', 'A', '1']), '1');
		await client.query('SAVEPOINT a');
		await refused(client.query('SELECT es_append($1, $2, $3, expected_version => $4)', ['saved-1', 'B', '1', 0]), 'PE001');
		await client.query('ROLLBACK TO a');
		assert.strictEqual(await value('SELECT es_append($1, $2, $3, expected_version => $4)', ['saved-1', 'B', '1', 1]), '2');
		await client.query('COMMIT');
		assert.strictEqual(await value('SELECT es_stream_version($1)', ['saved-1']), '2');
	});

	await test('a retry gets the version of the first time', async () => {
		const retry = () => value('SELECT es_append_batch($1, $2, $3, expected_version => $4, event_ids => $5)', ['batch-1', types, texts, 0, ids]);
		assert.strictEqual(await retry(), String(texts.length));
		assert.strictEqual(await retry(), String(texts.length));
		assert.strictEqual(await value('SELECT es_stream_version($1)', ['batch-1']), String(texts.length));
	});

	await test('the other errors are known by their SQLSTATEs', async () => {
		await refused(client.query('SELECT es_append($1, $2, $3, event_id => $4)', ['batch-1', 'Other', '1', ids[0]]), 'PE002');
		await refused(client.query('SELECT es_append($1, $2, $3)', [null, 'E', '1']), '22004');
		await refused(client.query('SELECT es_append($1, $2, $3)', ['', 'E', '1']), '22023');
		await refused(client.query('SELECT es_append($1, $2, $3)', ['order-1', 'E', '{no json']), '22P02');
		await refused(client.query('SELECT es_append_batch($1, $2, $3)', ['order-1', ['E', 'F'], ['1']]), '22023');
		await refused(client.query('DELETE FROM es_events WHERE stream_id = $1', ['order-1']), 'PE006');
	});

	await test('a snapshot with parameters', async () => {
		await client.query('SELECT es_save_snapshot($1, $2, $3)', ['batch-1', 2, { state: [1, 'ü'] }]);
		const { rows } = await client.query('SELECT version, state FROM es_load_snapshot($1, $2)', ['batch-1', 5]);
		assert.deepStrictEqual(rows, [{ version: '2', state: { state: [1, 'ü'] } }]);
	});

	await client.end();
	console.log(`1..${number}`);
	process.exit(failed ? 1 : 0);
}

main().catch((error) => {
	console.log(`Bail out! ${error.message}`);
	process.exit(1);
});
