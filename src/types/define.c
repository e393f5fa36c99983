/*-------------------------------------------------------------------------
 *
 * define.c
 *	  es_register_event_type, and what changes an event type.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Who defines locks es_event_types (SHARE ROW EXCLUSIVE) to the end of the
 *	  transaction: versions are numbered without holes, and looked at one
 *	  after the other.  Appends and readers do not wait for that.
 *
 *	  The rows are written as the owner of the extension; the expressions
 *	  belong to the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "core/compat.h"
#include "core/names.h"
#include "core/user_code.h"
#include "types/registry.h"

/* As many differences of schemas are listed */
#define MAX_BREAKS	20

PG_FUNCTION_INFO_V1(es_register_event_type);
PG_FUNCTION_INFO_V1(es_alter_event_type);
PG_FUNCTION_INFO_V1(es_set_event_type_status);
PG_FUNCTION_INFO_V1(es_drop_event_type);

static const char *const status_words[] = {
	[ES_TYPE_DRAFT] = "draft",
	[ES_TYPE_ACTIVE] = "active",
	[ES_TYPE_DEPRECATED] = "deprecated",
	[ES_TYPE_RETIRED] = "retired",
};

/* ---------- arguments ---------- */

static void
raise_argument_null(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", name)));
}

static char *
get_text(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		raise_argument_null(name);
	return text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

static char *
get_optional_text(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

static char *
get_event_type(FunctionCallInfo fcinfo)
{
	char	   *name = get_text(fcinfo, 0, "event type");

	es_name_check("event type", name, strlen(name), ES_MAX_EVENT_TYPE);
	return name;
}

static int32
get_version(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(1))
		raise_argument_null("schema version");
	if (PG_GETARG_INT32(1) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schema version must be greater than zero"),
				 errdetail("It is %d.", PG_GETARG_INT32(1))));
	return PG_GETARG_INT32(1);
}

static EsTypeStatus
get_status(FunctionCallInfo fcinfo, int argument)
{
	char	   *word = get_text(fcinfo, argument, "status");
	int			i;

	for (i = 0; i < (int) lengthof(status_words); i++)
	{
		if (strcmp(word, status_words[i]) == 0)
			return (EsTypeStatus) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized status: \"%s\"", word),
			 errhint("It is draft, active, deprecated or retired.")));
}

static char *
get_compatibility(FunctionCallInfo fcinfo, int argument)
{
	char	   *word = get_text(fcinfo, argument, "compatibility");

	if (strcmp(word, "backward") != 0 && strcmp(word, "forward") != 0 &&
		strcmp(word, "full") != 0 && strcmp(word, "none") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized compatibility: \"%s\"", word),
				 errhint("It is backward, forward, full or none.")));
	return word;
}

/* ---------- the table ---------- */

/*
 * Locks the types against others who define, and returns the registry.
 */
static EsTypes *
begin(EsStore *store, const char *function)
{
	Oid			table;

	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	es_catalog_get_store(store);
	table = get_relname_relid(ES_EVENT_TYPES, store->namespace_oid);
	if (OidIsValid(table))
		LockRelationOid(table, ShareRowExclusiveLock);
	return es_types_get(store);
}

/*
 * Runs a statement that writes one row, as the owner of the extension.
 */
static void
write_row(const EsStore *store, const char *sql, int nargs, Oid *types,
		  Datum *values, const char *nulls)
{
	Oid			userid;
	int			sec_context;
	int			guc_level = NewGUCNestLevel();
	const char *schema = quote_identifier(get_namespace_name(store->namespace_oid));
	int			result;

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(store->owner,
						   sec_context | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	SPI_connect();
	result = SPI_execute_with_args(psprintf(sql, schema), nargs, types, values,
								   nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql,
			 SPI_result_code_string(result));
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("the row of the event type was not written"),
				 errdetail("A trigger or rule of table \"%s\" suppressed it.",
						   ES_EVENT_TYPES)));
	SPI_finish();
	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(userid, sec_context);
	es_types_changed();
}

static EsTypeVersion *
find_version(EsTypes *types, const char *event_type, int32 schema_version)
{
	return es_types_find(types, event_type, strlen(event_type), schema_version);
}

/*
 * Finds a version that is to be changed by the current user.
 */
static EsTypeVersion *
find_own_version(EsTypes *types, const char *event_type, int32 schema_version)
{
	EsTypeVersion *version = find_version(types, event_type, schema_version);
	Oid			owner;

	if (version == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("version %d of event type \"%s\" is not registered",
						schema_version, event_type),
				 errhint("The table es_event_types lists those that are.")));
	owner = get_role_oid(version->row->owner, true);
	if (!superuser() &&
		!(OidIsValid(owner) && has_privs_of_role(GetUserId(), owner)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of event type \"%s\" version %d",
						event_type, schema_version),
				 errdetail("It belongs to role \"%s\".", version->row->owner)));
	return version;
}

/* ---------- rules ---------- */

/*
 * Raises an error when the expressions of a row are not right for its owner.
 */
static void
check_code(const EsTypeDefinition *row)
{
	EsTypes    *types = es_types_make(list_make1(unconstify(EsTypeDefinition *, row)));
	EsTypeVersion *version = &types->versions[0];
	EsUserCode	saved;
	List	   *codes = NIL;
	ListCell   *lc;

	if (row->upcaster != NULL)
		codes = lappend(codes, unconstify(EsTypeCode *, es_type_upcaster(version)));
	if (row->check_expression != NULL)
		codes = lappend(codes, unconstify(EsTypeCode *, es_type_check(version)));

	/* the right to execute the functions */
	es_user_code_enter(&saved, es_type_owner(version), NIL);
	foreach(lc, codes)
	{
		EsTypeCode *code = lfirst(lc);

		if (!code->returns_set)
			(void) ExecInitExpr(code->expr, NULL);
	}
	es_user_code_leave(&saved);
}

/*
 * Adds what breaks, in one direction, to the detail of an error.
 */
static void
add_breaks(StringInfo detail, const char *what, List *breaks)
{
	ListCell   *lc;

	foreach(lc, breaks)
		appendStringInfo(detail, "%s%s: %s", detail->len > 0 ? "\n" : "", what,
						 (char *) lfirst(lc));
}

/*
 * Finds the version before that has a JSON Schema.
 */
static EsTypeVersion *
find_schema_before(EsTypes *types, const EsTypeDefinition *row)
{
	EsTypeVersion *version;
	int32		i;

	for (i = row->schema_version - 1; i > 0; i--)
	{
		version = find_version(types, row->event_type, i);
		if (version == NULL || version->row->json_schema != NULL)
			return version;
	}
	return NULL;
}

/*
 * Raises an error for a schema that is no schema, or not compatible with that
 * of the version before: "backward", who reads by the new one can read what
 * was written by the old one, unless an upcaster makes it so; "forward", the
 * other way round.
 */
static void
check_schema(EsTypes *types, const EsTypeDefinition *row, const char *compatibility)
{
	bool		is_full = strcmp(compatibility, "full") == 0;
	EsTypeVersion *before = find_schema_before(types, row);
	StringInfoData detail;

	if (row->json_schema == NULL)
		return;
	es_json_schema_free(es_json_schema_compile(row->json_schema,
											   CurrentMemoryContext));
	if (before == NULL)
		return;
	initStringInfo(&detail);
	if ((is_full || strcmp(compatibility, "backward") == 0) && row->upcaster == NULL)
		add_breaks(&detail, "backward",
				   es_json_schema_breaks(row->json_schema,
										 before->row->json_schema, MAX_BREAKS));
	if (is_full || strcmp(compatibility, "forward") == 0)
		add_breaks(&detail, "forward",
				   es_json_schema_breaks(before->row->json_schema,
										 row->json_schema, MAX_BREAKS));
	if (detail.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the JSON Schema of event type \"%s\" version %d is not compatible with that of version %d",
						row->event_type, row->schema_version,
						before->row->schema_version),
				 errdetail("%s", detail.data),
				 errhint("An upcaster turns events of the version before into ones of this, which makes the schema backward compatible; compatibility => 'none' compares nothing.")));
}

/*
 * Raises an error for an upcaster that has nothing to begin with, or that
 * events cannot come to: those of the versions before stop at a version
 * without one.
 */
static void
check_gap(EsTypes *types, const EsTypeDefinition *row)
{
	EsTypeVersion *before;

	if (row->upcaster == NULL)
		return;
	if (row->schema_version == 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version 1 of event type \"%s\" cannot have an upcaster",
						row->event_type),
				 errdetail("The upcaster of version n makes events of version n out of those of version n - 1.")));
	before = find_version(types, row->event_type, row->schema_version - 1);
	if (before != NULL && before->row->upcaster == NULL &&
		find_version(types, row->event_type, row->schema_version - 2) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of event type \"%s\" has no upcaster",
						row->schema_version - 1, row->event_type),
				 errdetail("Events of version %d would never become ones of version %d.",
						   row->schema_version - 2, row->schema_version),
				 errhint("If nothing changed: es_alter_event_type('%s', %d, upcaster => 'data').",
						 row->event_type, row->schema_version - 1)));
}

/*
 * Raises an error when a version is to come into force before the one before.
 */
static void
check_draft_before(EsTypes *types, const EsTypeDefinition *row,
				   EsTypeStatus status)
{
	EsTypeVersion *before = find_version(types, row->event_type,
										 row->schema_version - 1);

	if (status != ES_TYPE_DRAFT && before != NULL &&
		before->row->status == ES_TYPE_DRAFT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of event type \"%s\" is a draft",
						row->schema_version - 1, row->event_type),
				 errhint("Make it active first: es_set_event_type_status('%s', %d, 'active').",
						 row->event_type, row->schema_version - 1)));
}

/* ---------- registering ---------- */

/* Arguments of es_register_event_type */
enum
{
	ARG_TYPE, ARG_VERSION, ARG_DESCRIPTION, ARG_SCHEMA, ARG_CHECK,
	ARG_UPCASTER, ARG_STATUS, ARG_PUBLISHED, ARG_TOPIC, ARG_COMPATIBILITY
};

static const char *const insert_sql =
	"INSERT INTO %s.es_event_types (event_type, schema_version, description, json_schema,"
	" check_expression, upcaster, status, published, topic, compatibility, owner, settings)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

static const char *const replace_sql =
	"UPDATE %s.es_event_types SET description = $3, json_schema = $4, check_expression = $5,"
	" upcaster = $6, status = $7, published = $8, topic = $9, compatibility = $10, owner = $11,"
	" settings = $12, registered_at = pg_catalog.now()"
	" WHERE event_type = $1 AND schema_version = $2";

/*
 * Decides on the version to register; *replace tells whether it is there, as a
 * draft.
 */
static int32
choose_version(EsTypes *types, FunctionCallInfo fcinfo, const char *event_type,
			   bool *replace)
{
	EsTypeVersion *newest = es_types_find_newest(types, event_type,
												 strlen(event_type));
	EsTypeVersion *version;
	int32		next = 1;
	int32		wanted;

	*replace = false;
	if (newest != NULL &&
		pg_add_s32_overflow(newest->row->schema_version, 1, &next) &&
		PG_ARGISNULL(ARG_VERSION))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("event type \"%s\" has the greatest version that there can be",
						event_type)));
	if (PG_ARGISNULL(ARG_VERSION))
		return next;
	wanted = get_version(fcinfo);
	version = find_version(types, event_type, wanted);
	if (version != NULL && version->row->status != ES_TYPE_DRAFT)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("version %d of event type \"%s\" is registered already",
						wanted, event_type),
				 errhint("Register version %d, or change what can be changed with es_alter_event_type.",
						 next)));
	if (version != NULL)
	{
		(void) find_own_version(types, event_type, wanted);
		*replace = true;
	}
	else if (newest != NULL && wanted != next)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version %d of event type \"%s\" cannot be registered",
						wanted, event_type),
				 errdetail("The next version is %d.", next)));
	return wanted;
}

/*
 * Fills a row from the arguments.
 */
static void
get_row(FunctionCallInfo fcinfo, EsTypeDefinition *row, Datum settings)
{
	memset(row, 0, sizeof(*row));
	row->event_type = get_event_type(fcinfo);
	row->status = get_status(fcinfo, ARG_STATUS);
	if (!PG_ARGISNULL(ARG_SCHEMA))
		row->json_schema = PG_GETARG_JSONB_P(ARG_SCHEMA);
	row->check_expression = get_optional_text(fcinfo, ARG_CHECK);
	row->upcaster = get_optional_text(fcinfo, ARG_UPCASTER);
	row->owner = GetUserNameFromId(GetUserId(), false);
	row->settings = es_types_parse_settings(settings);
}

/*
 * SQL: es_register_event_type(event_type text, schema_version integer,
 * description text, json_schema jsonb, check_expression text, upcaster text,
 * status text, published boolean, topic text, compatibility text)
 * returns integer
 */
Datum
es_register_event_type(PG_FUNCTION_ARGS)
{
	static Oid	types[] = {TEXTOID, INT4OID, TEXTOID, JSONBOID, TEXTOID,
		TEXTOID, TEXTOID, BOOLOID, TEXTOID, TEXTOID, NAMEOID,
	TEXTARRAYOID};
	Datum		values[lengthof(types)];
	char		nulls[lengthof(types) + 1];
	EsStore		store;
	EsTypes    *registry = begin(&store, "es_register_event_type()");
	Datum		settings = es_user_code_capture_settings();
	NameData	owner;
	EsTypeDefinition row;
	char	   *compatibility;
	bool		replace;
	int			i;

	get_row(fcinfo, &row, settings);
	compatibility = get_compatibility(fcinfo, ARG_COMPATIBILITY);
	if (PG_ARGISNULL(ARG_PUBLISHED))
		raise_argument_null("published");
	row.schema_version = choose_version(registry, fcinfo, row.event_type,
										&replace);
	check_draft_before(registry, &row, row.status);
	check_gap(registry, &row);
	check_schema(registry, &row, compatibility);
	es_types_hold(registry, CurrentMemoryContext);
	check_code(&row);

	for (i = 0; i <= ARG_COMPATIBILITY; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	values[ARG_VERSION] = Int32GetDatum(row.schema_version);
	nulls[ARG_VERSION] = ' ';
	namestrcpy(&owner, row.owner);
	values[i] = NameGetDatum(&owner);
	nulls[i++] = ' ';
	values[i] = settings;
	nulls[i++] = ' ';
	nulls[i] = '\0';
	write_row(&store, replace ? replace_sql : insert_sql, lengthof(types),
			  types, values, nulls);
	PG_RETURN_INT32(row.schema_version);
}

/* ---------- changing ---------- */

/* Arguments of es_alter_event_type behind type and version */
enum
{
	ALTER_DESCRIPTION = 2, ALTER_UPCASTER, ALTER_PUBLISHED, ALTER_TOPIC,
	ALTER_OWNER, ALTER_SETTINGS, N_ALTER
};

static const char *const alter_sql =
	"UPDATE %s.es_event_types SET description = COALESCE($3, description),"
	" upcaster = COALESCE($4, upcaster), published = COALESCE($5, published),"
	" topic = COALESCE($6, topic), owner = COALESCE($7, owner), settings = COALESCE($8, settings)"
	" WHERE event_type = $1 AND schema_version = $2";

static const char *const status_sql =
	"UPDATE %s.es_event_types SET status = $3 WHERE event_type = $1 AND schema_version = $2";

static const char *const drop_sql =
	"DELETE FROM %s.es_event_types WHERE event_type = $1 AND schema_version = $2";

/*
 * SQL: es_alter_event_type(event_type text, schema_version integer,
 * description text, upcaster text, published boolean, topic text, owner name)
 * returns void
 */
Datum
es_alter_event_type(PG_FUNCTION_ARGS)
{
	static Oid	types[N_ALTER] = {TEXTOID, INT4OID, TEXTOID, TEXTOID, BOOLOID,
	TEXTOID, NAMEOID, TEXTARRAYOID};
	Datum		values[N_ALTER];
	char		nulls[N_ALTER + 1];
	EsStore		store;
	EsTypes    *registry = begin(&store, "es_alter_event_type()");
	char	   *event_type = get_event_type(fcinfo);
	int32		schema_version = get_version(fcinfo);
	EsTypeDefinition row = *find_own_version(registry, event_type,
											 schema_version)->row;
	int			i;

	es_types_hold(registry, CurrentMemoryContext);
	for (i = 0; i < ALTER_SETTINGS; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	nulls[ALTER_SETTINGS] = 'n';
	nulls[N_ALTER] = '\0';

	if (!PG_ARGISNULL(ALTER_OWNER))
	{
		row.owner = pstrdup(NameStr(*PG_GETARG_NAME(ALTER_OWNER)));
		check_can_set_role_compat(GetUserId(), get_role_oid(row.owner, false));
	}
	if (!PG_ARGISNULL(ALTER_UPCASTER))
	{
		/* read as the caller has it; its check is from now on, too */
		row.upcaster = get_optional_text(fcinfo, ALTER_UPCASTER);
		values[ALTER_SETTINGS] = es_user_code_capture_settings();
		nulls[ALTER_SETTINGS] = ' ';
		row.settings = es_types_parse_settings(values[ALTER_SETTINGS]);
		check_gap(registry, &row);
	}
	check_code(&row);
	write_row(&store, alter_sql, N_ALTER, types, values, nulls);
	PG_RETURN_VOID();
}

/*
 * SQL: es_set_event_type_status(event_type text, schema_version integer,
 * status text) returns void
 */
Datum
es_set_event_type_status(PG_FUNCTION_ARGS)
{
	static Oid	types[] = {TEXTOID, INT4OID, TEXTOID};
	Datum		values[lengthof(types)];
	EsStore		store;
	EsTypes    *registry = begin(&store, "es_set_event_type_status()");
	char	   *event_type = get_event_type(fcinfo);
	int32		schema_version = get_version(fcinfo);
	EsTypeStatus status = get_status(fcinfo, 2);
	const EsTypeDefinition *row = find_own_version(registry, event_type,
												   schema_version)->row;

	if (status <= row->status)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of event type \"%s\" is %s and cannot become %s",
						schema_version, event_type,
						status_words[row->status], status_words[status]),
				 errhint("The order is draft, active, deprecated, retired; there is no way back.")));
	check_draft_before(registry, row, status);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = PG_GETARG_DATUM(2);
	write_row(&store, status_sql, lengthof(types), types, values, NULL);
	PG_RETURN_VOID();
}

/*
 * SQL: es_drop_event_type(event_type text, schema_version integer) returns void
 */
Datum
es_drop_event_type(PG_FUNCTION_ARGS)
{
	static Oid	types[] = {TEXTOID, INT4OID};
	Datum		values[lengthof(types)];
	EsStore		store;
	EsTypes    *registry = begin(&store, "es_drop_event_type()");
	char	   *event_type = get_event_type(fcinfo);
	int32		schema_version = get_version(fcinfo);
	const EsTypeDefinition *row = find_own_version(registry, event_type,
												   schema_version)->row;

	if (row->status != ES_TYPE_DRAFT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of event type \"%s\" is %s, only drafts can be dropped",
						schema_version, event_type, status_words[row->status]),
				 errhint("Retire it with es_set_event_type_status: nobody can append it any more, and its events can be read.")));
	if (schema_version < PG_INT32_MAX &&
		find_version(registry, event_type, schema_version + 1) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of event type \"%s\" cannot be dropped before version %d",
						schema_version, event_type, schema_version + 1)));
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	write_row(&store, drop_sql, lengthof(types), types, values, NULL);
	PG_RETURN_VOID();
}
