/*-------------------------------------------------------------------------
 *
 * alter_view.c
 *	  es_alter_view: a view gets another query, and is rebuilt.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  If the columns stay the same, so does the table: it gets a new heap, as
 *	  in a rebuild.  Otherwise a new table is made and filled, in a schema of
 *	  its own, and takes the old one's place and name; then what the user has
 *	  made for the old one is made for it: indexes, privileges, comments,
 *	  storage parameters.  What cannot be made again, and objects that depend
 *	  on the old table, are an error before anything is done.
 *
 *	  The state table is always a new one: nobody uses it but the projection.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "projection/rebuild.h"
#include "view/view.h"

PG_FUNCTION_INFO_V1(es_alter_view);

/*
 * What is done.
 */
typedef struct Change
{
	EsRebuild	rebuild;
	char	   *target;			/* schema of the table */
	char	   *table;			/* its qualified name */
	bool		same_table;		/* the table stays */
	List	   *commands;		/* char *: make for the new table what the old
								 * one had */
} Change;

/*
 * What depends on the table ($1) and is neither made again nor a part of it.
 * $2: names of the new columns, $3: their types, $4: those of the old key, $5:
 * of old columns that cannot be NULL by themselves.  pg_attver is an option that
 * PostgreSQL 15.20 and its like give to every column.
 */
static const char *const obstacles_sql =
	"WITH kept AS ("
	"  SELECT a.attnum FROM pg_catalog.pg_attribute a"
	"   JOIN ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) AS n (name, type)"
	"     ON n.name = a.attname::pg_catalog.text AND n.type = a.atttypid"
	"   WHERE a.attrelid = $1 AND NOT a.attisdropped),"
	" keys AS ("
	"  SELECT pg_catalog.array_agg(a.attnum ORDER BY a.attnum) AS attnums FROM pg_catalog.pg_attribute a"
	"   WHERE a.attrelid = $1 AND a.attname::pg_catalog.text = ANY ($4)),"
	" own AS ("
	"  SELECT i.indexrelid, c.oid AS conid FROM pg_catalog.pg_index i CROSS JOIN keys k"
	"    LEFT JOIN pg_catalog.pg_constraint c ON c.conindid = i.indexrelid AND c.conrelid = $1"
	"   WHERE i.indrelid = $1 AND i.indisunique AND"
	"    CASE WHEN k.attnums IS NULL THEN pg_catalog.pg_get_expr(i.indexprs, $1) = 'true'"
	"     ELSE c.oid IS NOT NULL AND (SELECT pg_catalog.array_agg(x ORDER BY x) FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) x) = k.attnums END)"
	" SELECT DISTINCT CASE"
	"    WHEN d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass THEN"
	"     (SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0) FROM pg_catalog.pg_rewrite r WHERE r.oid = d.objid)"
	"    ELSE pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END COLLATE pg_catalog.\"C\""
	"  FROM pg_catalog.pg_depend d, pg_catalog.pg_class t"
	"  WHERE t.oid = $1 AND (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = t.oid"
	"     OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = t.reltype"
	"     OR d.refclassid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.refobjid IN (SELECT o.conid FROM own o)"
	"     OR d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid IN (SELECT o.indexrelid FROM own o))"
	"   AND NOT (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.deptype = 'i')"
	"   AND NOT (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.reltoastrelid)"
	"   AND NOT (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid IN (SELECT o.indexrelid FROM own o))"
	"   AND NOT (d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid IN (SELECT o.conid FROM own o))"
	"   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint c WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass"
	"     AND c.oid = d.objid AND c.contype = 'n')"
	"   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
	"     AND i.indexrelid = d.objid AND i.indrelid = $1"
	"     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = $1)"
	"     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend x WHERE x.classid = d.classid AND x.objid = d.objid"
	"       AND x.refclassid = d.classid AND x.refobjid = $1 AND x.refobjsubid > 0 AND x.refobjsubid NOT IN (SELECT k.attnum FROM kept k)))"
	" UNION"
	" SELECT pg_catalog.format('privileges on column %I', a.attname) FROM pg_catalog.pg_attribute a"
	"  WHERE a.attrelid = $1 AND a.attacl IS NOT NULL AND a.attnum NOT IN (SELECT k.attnum FROM kept k)"
	" UNION"
	" SELECT pg_catalog.format('comment on column %I', a.attname) FROM pg_catalog.pg_attribute a"
	"  WHERE a.attrelid = $1 AND pg_catalog.col_description($1, a.attnum) IS NOT NULL AND a.attnum NOT IN (SELECT k.attnum FROM kept k)"
	" UNION"
	" SELECT 'row-level security' FROM pg_catalog.pg_class c WHERE c.oid = $1 AND c.relrowsecurity"
	" UNION"
	" SELECT 'that it is unlogged' FROM pg_catalog.pg_class c WHERE c.oid = $1 AND c.relpersistence <> 'p'"
	" UNION"
	" SELECT 'replica identity' FROM pg_catalog.pg_class c WHERE c.oid = $1 AND c.relreplident = 'i'"
	" UNION"
	" SELECT pg_catalog.format('tablespace %I', s.spcname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace WHERE c.oid = $1"
	" UNION"
	" SELECT pg_catalog.format('access method %I', m.amname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am m ON m.oid = c.relam"
	"  WHERE c.oid = $1 AND m.amname <> pg_catalog.current_setting('default_table_access_method')::pg_catalog.name"
	" UNION"
	" SELECT pg_catalog.format('storage of column %I', a.attname) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
	"  WHERE a.attrelid = $1 AND a.attnum > 0 AND (a.attstorage <> t.typstorage OR a.attcompression <> '')"
	" UNION"
	" SELECT pg_catalog.format('statistics target of column %I', a.attname) FROM pg_catalog.pg_attribute a"
	"  WHERE a.attrelid = $1 AND a.attnum > 0 AND (a.attstattarget >= 0 OR"
	"    EXISTS (SELECT 1 FROM pg_catalog.unnest(a.attoptions) o WHERE pg_catalog.split_part(o, '=', 1) <> 'pg_attver'))"
	" UNION"
	" SELECT pg_catalog.format('NOT NULL of column %I', a.attname) FROM pg_catalog.pg_attribute a"
	"  WHERE a.attrelid = $1 AND a.attnum > 0 AND a.attnotnull AND a.attname::pg_catalog.text <> ALL ($5)"
	" ORDER BY 1";

/*
 * Commands that make for the new table, whose name ($2) is that of the old one
 * ($1), what the old one has.  $3: columns of its key.
 */
static const char *const commands_sql =
	"SELECT c.command FROM ("
	" SELECT 1, pg_catalog.format('REVOKE ALL ON TABLE %s FROM %s', $2, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)))"
	"  FROM pg_catalog.pg_class c WHERE c.oid = $1 AND c.relacl IS NOT NULL"
	" UNION ALL"
	" SELECT 2, pg_catalog.format('GRANT %s ON TABLE %s TO %s%s', a.privilege_type, $2,"
	"   CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,"
	"   CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
	"  FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a WHERE c.oid = $1"
	" UNION ALL"
	" SELECT 2, pg_catalog.format('GRANT %s (%I) ON TABLE %s TO %s%s', a.privilege_type, t.attname, $2,"
	"   CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,"
	"   CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
	"  FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) a WHERE t.attrelid = $1"
	" UNION ALL"
	" SELECT 2, pg_catalog.format('ALTER TABLE %s SET (%s = %L)', $2, pg_catalog.split_part(o, '=', 1), pg_catalog.substr(o, pg_catalog.strpos(o, '=') + 1))"
	"  FROM pg_catalog.pg_class c, pg_catalog.unnest(c.reloptions) o WHERE c.oid = $1"
	" UNION ALL"
	" SELECT 2, pg_catalog.format('ALTER TABLE %s SET (toast.%s = %L)', $2, pg_catalog.split_part(o, '=', 1), pg_catalog.substr(o, pg_catalog.strpos(o, '=') + 1))"
	"  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid, pg_catalog.unnest(t.reloptions) o WHERE c.oid = $1"
	" UNION ALL"
	" SELECT 2, pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY %s', $2, CASE c.relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)"
	"  FROM pg_catalog.pg_class c WHERE c.oid = $1 AND c.relreplident IN ('f', 'n')"
	" UNION ALL"
	" SELECT 2, pg_catalog.format('COMMENT ON TABLE %s IS %L', $2, pg_catalog.obj_description($1, 'pg_class'))"
	" UNION ALL"
	" SELECT 2, pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', $2, a.attname, pg_catalog.col_description($1, a.attnum))"
	"  FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped"
	"   AND pg_catalog.col_description($1, a.attnum) IS NOT NULL"
	" UNION ALL"
	" SELECT 3, pg_catalog.pg_get_indexdef(i.indexrelid) FROM pg_catalog.pg_index i WHERE i.indrelid = $1"
	"   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = $1)"
	"   AND NOT ($3 AND i.indisunique AND pg_catalog.pg_get_expr(i.indexprs, $1) IS NOT DISTINCT FROM 'true')"
	" UNION ALL"
	" SELECT 4, pg_catalog.format('COMMENT ON INDEX %I.%I IS %L', n.nspname, c.relname, pg_catalog.obj_description(c.oid, 'pg_class'))"
	"  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	"  WHERE i.indrelid = $1 AND pg_catalog.obj_description(c.oid, 'pg_class') IS NOT NULL"
	"   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint x WHERE x.conindid = i.indexrelid AND x.conrelid = $1)"
	") AS c (n, command) ORDER BY c.n, c.command COLLATE pg_catalog.\"C\"";

static const char *const set_query_sql =
	"UPDATE %s.es_projection_definitions SET query = $2, relation = $3, state_table = $4 WHERE id = $1";

typedef enum Columns
{
	ALL, KEYS, NOT_NULL
} Columns;

/*
 * Makes arrays of the names and types of columns: all, those of the key, or
 * these and others that are NOT NULL in the table that is made for the view.
 */
static Datum
get_names(const EsView *view, Columns which)
{
	Datum	   *names = palloc(list_length(view->columns) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, view->columns)
	{
		EsViewColumn *column = lfirst(lc);

		if (which == ALL || column->is_key ||
			(which == NOT_NULL && column->not_null))
			names[n++] = CStringGetTextDatum(column->name);
	}
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

static Datum
get_types(const EsView *view)
{
	Datum	   *types = palloc(list_length(view->columns) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, view->columns)
		types[n++] = ObjectIdGetDatum(((EsViewColumn *) lfirst(lc))->type);
	return PointerGetDatum(construct_array(types, n, OIDOID, sizeof(Oid), true,
										   TYPALIGN_INT));
}

/*
 * Raises an error, with their names, when there are objects that would be lost
 * with the old table.
 */
static void
check_obstacles(const Change *change, const EsView *old, const EsView *new)
{
	Oid			types[] = {
		OIDOID, TEXTARRAYOID, OIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID
	};
	Datum		values[] = {
		ObjectIdGetDatum(change->rebuild.projection->relation), get_names(new, ALL),
		get_types(new), get_names(old, KEYS), get_names(old, NOT_NULL)
	};
	StringInfoData list;
	uint64		i;

	(void) SPI_execute_with_args(obstacles_sql, lengthof(types), types, values,
								 NULL, false, 0);
	if (SPI_processed == 0)
		return;
	initStringInfo(&list);
	for (i = 0; i < SPI_processed; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "",
						 SPI_getvalue(SPI_tuptable->vals[i],
									  SPI_tuptable->tupdesc, 1));
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("the columns of projection \"%s\" cannot change while other objects depend on table %s",
					change->rebuild.projection->name, change->table),
			 errdetail("The table is replaced by another one, for which these cannot be made again: %s.",
					   list.data),
			 errhint("Drop or reset them first.")));
}

/*
 * Collects the commands that make for the new table what the old one has.
 */
static void
collect_commands(Change *change, const EsView *old, MemoryContext context)
{
	Oid			types[] = {OIDOID, TEXTOID, BOOLOID};
	Datum		values[] = {
		ObjectIdGetDatum(change->rebuild.projection->relation),
		CStringGetTextDatum(change->table),
		BoolGetDatum(old->shape == ES_VIEW_SINGLE)
	};
	MemoryContext previous;
	uint64		i;

	(void) SPI_execute_with_args(commands_sql, lengthof(types), types, values,
								 NULL, false, 0);
	previous = MemoryContextSwitchTo(context);
	for (i = 0; i < SPI_processed; i++)
		change->commands = lappend(change->commands,
								   SPI_getvalue(SPI_tuptable->vals[i],
												SPI_tuptable->tupdesc, 1));
	MemoryContextSwitchTo(previous);
}

/*
 * Looks what is to be done, and makes the new tables, in the stand-ins' schema.
 */
static void
prepare(Change *change, MemoryContext context)
{
	EsRebuild  *rebuild = &change->rebuild;
	EsProjection *projection = rebuild->projection;
	EsProjection *copy = rebuild->copy;
	EsView	   *old = es_view_of(rebuild->store, projection);
	EsView	   *new = es_view_analyze(rebuild->store, copy->query);

	es_view_check_mode(new, copy->name, copy->partitions, copy->is_inline);
	change->same_table = es_view_same_columns(old, new);
	SPI_connect();
	if (!change->same_table)
	{
		check_obstacles(change, old, new);
		collect_commands(change, old, context);
	}
	SPI_finish();

	es_shadow_make_view(rebuild, new);
	if (change->same_table)
		es_shadow_add(rebuild, projection->relation, copy->relation,
					  es_rebuild_columns(copy->relation));
	else
	{
		es_shadow_add(rebuild, copy->relation, copy->relation,
					  es_rebuild_columns(copy->relation));
		rebuild->locked = lappend_oid(rebuild->locked, projection->relation);
	}
	if (new->needs_state)
		es_shadow_add(rebuild, copy->state_table, copy->state_table,
					  es_rebuild_columns(copy->state_table));
	if (OidIsValid(projection->state_table))
		rebuild->locked = lappend_oid(rebuild->locked, projection->state_table);
}

/*
 * Locks the tables against changes of their definition, before anything that
 * others would notice, and makes the new ones.
 */
static void
begin(Change *change, const EsStore *store, EsProjection *projection,
	  char *query)
{
	MemoryContext context = CurrentMemoryContext;
	EsRunAs		saved;

	es_heap_lock(projection, projection->relation);
	if (OidIsValid(projection->state_table) &&
		get_rel_name(projection->state_table) != NULL)
		es_heap_lock(projection, projection->state_table);
	memset(change, 0, sizeof(*change));
	change->table = es_view_relation_name(projection->relation);
	change->target = get_namespace_name(get_rel_namespace(projection->relation));
	es_shadow_begin(&change->rebuild, store, projection, -1);
	change->rebuild.copy->query = query;
	es_run_as(store, projection, &saved);
	prepare(change, context);
	es_run_as_end(&saved);
}

/*
 * Drops an old table, and puts a new one in its place; either may be missing.
 */
static void
replace_table(const Change *change, Oid old, Oid new)
{
	if (OidIsValid(old) && get_rel_name(old) != NULL)
		es_run_command(psprintf("DROP TABLE %s", es_view_relation_name(old)));
	if (OidIsValid(new))
		es_run_command(psprintf("ALTER TABLE %s SET SCHEMA %s",
							 es_view_relation_name(new),
							 quote_identifier(change->target)));
}

/*
 * Puts the new contents and tables in the place of the old ones.
 */
static void
replace_tables(Change *change)
{
	EsProjection *projection = change->rebuild.projection;
	EsProjection *copy = change->rebuild.copy;
	EsRunAs		saved;
	ListCell   *lc;

	es_run_as(change->rebuild.store, copy, &saved);
	es_heap_swap(change->rebuild.heaps);
	replace_table(change, projection->state_table, copy->state_table);
	if (change->same_table)
		copy->relation = projection->relation;
	else
		replace_table(change, projection->relation, copy->relation);
	foreach(lc, change->commands)
		es_run_command(lfirst(lc));
	es_run_as_end(&saved);
}

/*
 * Writes the new definition; returns it, pinned.
 */
static EsProjection *
write_definition(const EsStore *store, const EsProjection *copy)
{
	Oid			types[] = {INT4OID, TEXTOID, REGCLASSOID, REGCLASSOID};
	Datum		values[] = {
		Int32GetDatum(copy->id), CStringGetTextDatum(copy->query),
		ObjectIdGetDatum(copy->relation), ObjectIdGetDatum(copy->state_table)
	};
	EsProjection *projection;

	SPI_connect();
	(void) es_registry_execute(store, set_query_sql, lengthof(types), types,
							   values,
							   OidIsValid(copy->state_table) ? NULL : "   n");
	SPI_finish();
	projection = es_registry_find_id(store, copy->id);
	es_projection_pin(projection);
	return projection;
}

/*
 * SQL: es_alter_view(name text, query text) returns void
 */
Datum
es_alter_view(PG_FUNCTION_ARGS)
{
	EsStore		store;
	Change		change;
	EsProjection *projection;
	EsProjection *changed;

	if (PG_ARGISNULL(1))
		es_arg_raise("query", "must not be NULL", NULL);
	projection = es_rebuild_begin(fcinfo, "es_alter_view()", &store);
	if (projection->kind != ES_PROJECTION_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("projection \"%s\" is not a view", projection->name)));

	begin(&change, &store, projection, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	es_shadow_fill(&change.rebuild);
	es_rebuild_catch_up(&change.rebuild);
	replace_tables(&change);
	changed = write_definition(&store, change.rebuild.copy);
	es_rebuild_finish(&change.rebuild, changed);
	es_projection_unpin(changed);
	es_projection_unpin(projection);
	PG_RETURN_VOID();
}
