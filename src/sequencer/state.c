/*-------------------------------------------------------------------------
 *
 * state.c
 *	  es_sequencer_state: through which slot a store is read, and since when.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  LSNs mean something only in the WAL that they come from.  The key of the
 *	  table names it: a restored dump, a database made from a template, an
 *	  upgraded server find no row of theirs, and heal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"

#include "sequencer/sequencer.h"

#define NKEYS	3

/*
 * Fills types and args with the key of our row; returns the table's name.
 */
static const char *
make_key(const EsStore *store, Oid *types, Datum *args)
{
	types[0] = INT8OID;
	args[0] = Int64GetDatum((int64) GetSystemIdentifier());
	types[1] = OIDOID;
	args[1] = ObjectIdGetDatum(MyDatabaseId);
	types[2] = OIDOID;
	args[2] = ObjectIdGetDatum(store->events);
	return quote_qualified_identifier(get_namespace_name(store->namespace_oid),
									  get_rel_name(store->sequencer_state));
}

/*
 * Returns a column of the row that SPI has found.
 */
static Datum
get_column(int number)
{
	bool		isnull;

	/* no column may be NULL */
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number,
						 &isnull);
}

bool
es_state_read(const EsStore *store, EsSequencerRow *row)
{
	Oid			types[NKEYS];
	Datum		args[NKEYS];
	const char *table;
	bool		found;

	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	table = make_key(store, types, args);
	if (SPI_execute_with_args(psprintf("SELECT slot_name, start_lsn, since_position, healed_tx"
									   " FROM %s WHERE system_identifier = $1"
									   " AND database_oid = $2 AND store_oid = $3",
									   table),
							  NKEYS, types, args, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read \"%s\"", table);
	found = (SPI_processed == 1);
	if (found)
	{
		row->slot_name = *DatumGetName(get_column(1));
		row->start_lsn = DatumGetLSN(get_column(2));
		row->since_position = DatumGetInt64(get_column(3));
		row->healed_tx = DatumGetInt64(get_column(4));
	}
	PopActiveSnapshot();
	SPI_finish();
	return found;
}

void
es_state_write(const EsStore *store, const EsSequencerRow *row)
{
	Oid			types[NKEYS + 4];
	Datum		args[NKEYS + 4];
	const char *table;

	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	table = make_key(store, types, args);
	types[3] = NAMEOID;
	args[3] = NameGetDatum(&row->slot_name);
	types[4] = LSNOID;
	args[4] = LSNGetDatum(row->start_lsn);
	types[5] = INT8OID;
	args[5] = Int64GetDatum(row->since_position);
	types[6] = INT8OID;
	args[6] = Int64GetDatum(row->healed_tx);
	if (SPI_execute_with_args(psprintf("INSERT INTO %s VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp())"
									   " ON CONFLICT (system_identifier, database_oid, store_oid) DO UPDATE SET"
									   " slot_name = excluded.slot_name, start_lsn = excluded.start_lsn,"
									   " since_position = excluded.since_position,"
									   " healed_tx = excluded.healed_tx, healed_at = excluded.healed_at",
									   table),
							  lengthof(types), types, args, NULL, false,
							  0) != SPI_OK_INSERT)
		elog(ERROR, "could not write \"%s\"", table);
	PopActiveSnapshot();
	SPI_finish();
}
