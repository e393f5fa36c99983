/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  Statements of our own on the extension's tables.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_CATALOG_STATEMENT_H
#define ES_CATALOG_STATEMENT_H

#include "catalog/catalog.h"

/*
 * Runs a statement, as the owner of the extension and with a safe search_path.
 *
 * sql is a constant of the program: its address is what its plan, which is
 * kept, is known by; each %s in it stands for the schema of the extension.
 * Needs SPI; returns the number of rows, which are in SPI_tuptable. read_only is
 * as in SPI_execute_plan(): with true, it sees what the caller's snapshot
 * shows.
 */
extern uint64 es_catalog_execute(const EsStore *store, const char *sql,
								 int nargs, Oid *types, Datum *values,
								 const char *nulls, bool read_only);

#endif							/* ES_CATALOG_STATEMENT_H */
