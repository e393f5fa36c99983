#!/usr/bin/env node
//
// cloudevents.js: every object of the feed in the format cloudevents is a CloudEvent, says the library of those
// who wrote the specification.
//
'use strict';

const assert = require('assert');
const fs = require('fs');
const path = require('path');

let pg;
let cloudevents;
try {
	pg = require('pg');
	cloudevents = require('cloudevents');
} catch (error) {
	console.log('1..0 # SKIP node-postgres or cloudevents is not installed');
	process.exit(0);
}

const { CloudEvent, HTTP } = cloudevents;
const database = 'client cloudevents/ü';
const slot = 'client_cloudevents';
// Without the numbers that JavaScript takes for infinite.
const texts = fs.readFileSync(path.join(__dirname, 'documents.jsonl'), 'utf8').split('\n')
	.filter((line) => line !== '' && JSON.parse(line) !== Infinity);
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

async function newDatabase() {
	const client = new pg.Client();
	await client.connect();
	await client.query(`DROP DATABASE IF EXISTS "${database}"`);
	await client.query(`CREATE DATABASE "${database}" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`);
	await client.end();
}

// Events with everything that could be hard to say in a CloudEvent.
async function append(client) {
	const metadata = [{}, { correlation_id: 'c-1', causation_id: 'ü "x"', user_id: 'u', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=b' },
		{ correlation_id: '', causation_id: null, user_id: 7, traceparent: ['00'], tracestate: 'line\nbreak' }, { correlation_id: 'c'.repeat(10000) }];
	const streams = ['order-1', 'a b/c%2F?d#e', '/../.', '注文-1 "quoted" \\ \'', '-', 'x'.repeat(512), '//double', '%zz', '[::1]:80', '\u{1f600}'];
	for (const tenant of ['', 'acme', 'ac/me ü', '/']) {
		await client.query("SELECT set_config('event_store.tenant_id', $1, false)", [tenant]);
		for (const [i, stream] of streams.entries()) {
			await client.query('SELECT es_append_batch($1, $2, $3, $4)',
				[stream, ['Placed', ' ', 'it "is" \\ ü'], ['{"n": 1}', texts[i % texts.length], 'null'], [0, 1, 2].map((n) => metadata[(i + n) % metadata.length])]);
		}
	}
	for (const text of texts.concat('true', '[]', '"text"', '7.50', '""')) {
		await client.query('SELECT es_append($1, $2, $3)', ['documents-1', 'Document', text]);
	}
}

async function main() {
	await newDatabase();
	const client = new pg.Client({ database });
	await client.connect();
	await client.query("SET client_min_messages = warning");
	await client.query(`SELECT set_config(name, setting || ', event_store', false) FROM pg_settings
		WHERE name = 'output_plugin_libraries' AND setting !~ 'event_store'`);
	await client.query('CREATE EXTENSION event_store');
	await client.query("SELECT pg_create_logical_replication_slot($1, 'event_store')", [slot]);
	await append(client);
	const { rows } = await client.query("SELECT data FROM pg_logical_slot_get_changes($1, NULL, NULL, 'format', 'cloudevents', 'transactions', 'true')", [slot]);
	await client.query('SELECT pg_drop_replication_slot($1)', [slot]);
	const stored = await client.query(`SELECT tenant_id, stream_id, version::int, event_id, event_type, data FROM es_events ORDER BY tx, ordinal`);
	await client.end();

	const objects = rows.map((row) => JSON.parse(row.data));
	const events = objects.filter((object) => !object.type.startsWith('event_store.transaction.'));

	await test(`${objects.length} objects are CloudEvents`, () => {
		assert.ok(events.length > 100 && objects.length > events.length);
		for (const object of objects) {
			assert.ok(new CloudEvent(object, true).validate(), JSON.stringify(object));
		}
	});

	await test('in structured mode too', () => {
		for (const row of rows) {
			const event = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json; charset=utf-8' }, body: row.data });
			assert.ok(event.validate());
			// The library takes false, 0, "" and null for no data at all.
			assert.deepStrictEqual(event.data || null, JSON.parse(row.data).data || null);
		}
	});

	await test('and in binary mode and back', () => {
		for (const object of events) {
			const message = HTTP.binary(new CloudEvent(object, true));
			assert.strictEqual(message.headers['ce-id'], object.id);
		}
	});

	await test('source and id together are unique', () => {
		assert.strictEqual(new Set(objects.map((object) => `${object.source}\n${object.id}`)).size, objects.length);
		assert.strictEqual(new Set(events.map((object) => object.source)).size, new Set(stored.rows.map((row) => `${row.tenant_id}\n${row.stream_id}`)).size);
	});

	await test('sources are URI references that tell database, tenant and stream', () => {
		for (const [i, event] of events.entries()) {
			const segments = event.source.split('/').map(decodeURIComponent);
			const row = stored.rows[i];
			assert.match(event.source, /^\/[A-Za-z0-9._~%/-]+$/);
			assert.deepStrictEqual(segments, ['', 'event_store', database, row.tenant_id, row.stream_id]);
		}
	});

	await test('they say what is stored', () => {
		assert.deepStrictEqual(
			events.map((event) => [event.tenant ?? '', event.subject, event.streamversion, event.id, event.type, event.data]),
			stored.rows.map((row) => [row.tenant_id, row.stream_id, row.version, row.event_id, row.event_type, row.data]));
	});

	await test('attributes are named and typed as the specification has it', () => {
		for (const object of objects) {
			for (const [name, value] of Object.entries(object)) {
				assert.match(name, /^[a-z0-9]{1,20}$/);
				if (name === 'data') continue;
				assert.ok(typeof value === 'string' ? value !== '' : Number.isInteger(value) && Math.abs(value) < 2 ** 31, `${name} of ${JSON.stringify(object)}`);
				// eslint-disable-next-line no-control-regex
				assert.doesNotMatch(String(value), /[\u0000-\u001f\u007f-\u009f]/);
			}
		}
		const traced = events.find((event) => event.tracestate !== undefined);
		assert.deepStrictEqual([traced.correlationid, traced.causationid, traced.userid, traced.tracestate], ['c-1', 'ü "x"', 'u', 'a=b']);
	});

	await test('times are those of RFC 3339', () => {
		for (const object of objects) {
			assert.match(object.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
			assert.ok(Math.abs(Date.parse(object.time) - Date.now()) < 3600000);
		}
	});

	console.log(`1..${number}`);
	process.exit(failed ? 1 : 0);
}

main().catch((error) => {
	console.log(`Bail out! ${error.message}`);
	process.exit(1);
});
