// Emmett's consumer with a projection that does an upsert for each event, as its documentation
// shows.
//
//   model.mjs run       keeps the read model until SIGUSR2 (Emmett's own handler of SIGTERM fails); says "ready" on standard output
//   model.mjs end       the same, until there is nothing more
//
// The puller reads 1,000 events at a time and pauses for 1 ms (its defaults are 100 and
// 50 ms). Where there is nothing it waits for 0.2 s, 0.4 s … 1 s: that cannot be set.
import { createRequire } from 'node:module'

const require = createRequire(process.env.BENCH_NODE + '/x.js')
const { postgreSQLEventStoreConsumer, postgreSQLRawSQLProjection } =
  require('@event-driven-io/emmett-postgresql')
const { sql } = require('@event-driven-io/dumbo')

const { PGHOST, PGPORT, PGUSER, PGDATABASE } = process.env
const connectionString = `postgresql://${PGUSER}@localhost:${PGPORT}/${PGDATABASE}?host=${encodeURIComponent(PGHOST)}`
const pulling = { batchSize: 1000, pullingFrequencyInMs: 1 }
const projection = postgreSQLRawSQLProjection({
  name: 'order_totals',
  canHandle: ['OrderPlaced'],
  evolve: ({ data, metadata }) =>
    sql(
      `INSERT INTO order_totals AS t (stream, events, total) VALUES (%L, 1, %L)
       ON CONFLICT (stream) DO UPDATE SET events = t.events + 1, total = t.total + excluded.total`,
      metadata.streamName, data.total),
  truncate: ({ execute }) => execute.command(sql('TRUNCATE order_totals'))
})

const mode = process.argv[2]
const consumer = postgreSQLEventStoreConsumer({
  connectionString, pulling, stopWhen: mode === 'end' ? { noMessagesLeft: true } : undefined
})
// One that has ended does not always give its lock back: it is taken over after a second.
consumer.projector({
  projection,
  processorId: 'order_totals',
  lock: { timeoutSeconds: 1, acquisitionPolicy: { type: 'retry', retries: 20, minTimeout: 100, maxTimeout: 500 } }
})
let stopping
if (mode === 'run') {
  process.on('SIGUSR2', () => { stopping = consumer.close() })
  console.log('ready')
}
await consumer.start()
await (stopping ?? consumer.close())
process.exit(0)
