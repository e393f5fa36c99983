/*-------------------------------------------------------------------------
 *
 * user_code.c
 *	  Running what users have written: as its owner, with its settings.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  Writing is forbidden by the switch that makes a transaction read-only.
 *	  PostgreSQL refuses to SET a transaction read-write again after its first
 *	  snapshot, but before version 16 not to RESET it, so that is looked at
 *	  afterwards: what has been written has used a command id.  The end of a
 *	  subtransaction that was begun before restores the switch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/lsyscache.h"

#include "core/compat.h"
#include "core/user_code.h"

/*
 * What SQL may depend on, and has as its maker had it, in the order in which it
 * is captured.
 */
static const char *const captured_settings[] = {
	"TimeZone", "DateStyle", "IntervalStyle", "extra_float_digits",
	"bytea_output", "standard_conforming_strings", "transform_null_equals",
	"array_nulls", "xmloption", "lc_monetary", "lc_numeric", "lc_time",
	"default_text_search_config", "row_security", "search_path"
};

/* The last one is not captured as it is. */
#define N_CAPTURED	((int) lengthof(captured_settings) - 1)

/*
 * Where PostgreSQL has them; NULL: not looked up yet.  To find one by its name
 * takes longer than to run most of the users' code.
 */
static struct config_generic *found_settings[lengthof(captured_settings)];

/*
 * Returns the search_path of now, without schemas that are not there, and
 * safe: pg_catalog comes first, as it does where it is not named, and temporary
 * objects come last.
 */
static char *
get_search_path(void)
{
	StringInfoData path;
	List	   *schemas = fetch_search_path(false);
	ListCell   *lc;

	initStringInfo(&path);
	foreach(lc, schemas)
	{
		char	   *schema = get_namespace_name(lfirst_oid(lc));

		if (schema != NULL && !isAnyTempNamespace(lfirst_oid(lc)) &&
			strcmp(schema, "pg_catalog") != 0)
			appendStringInfo(&path, "%s, ", quote_identifier(schema));
	}
	if (path.len == 0)
		appendStringInfoString(&path, "pg_catalog, ");
	appendStringInfoString(&path, "pg_temp");
	return path.data;
}

Datum
es_user_code_capture_settings(void)
{
	Datum		settings[lengthof(captured_settings)];
	int			i;

	for (i = 0; i < N_CAPTURED; i++)
	{
		const char *name = captured_settings[i];

		settings[i] =
			CStringGetTextDatum(psprintf("%s=%s", name,
										 GetConfigOption(name, false, false)));
	}
	settings[i] = CStringGetTextDatum(psprintf("search_path=%s",
											   get_search_path()));
	return PointerGetDatum(construct_array(settings, i + 1, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/*
 * Does a setting have this value, as text?
 */
static bool
has_value(struct config_generic *setting, const char *value)
{
	char		number[12];

	switch (setting->vartype)
	{
		case PGC_BOOL:
			return strcmp(*((struct config_bool *) setting)->variable ?
						  "on" : "off", value) == 0;
		case PGC_INT:
			(void) pg_ltoa(*((struct config_int *) setting)->variable, number);
			return strcmp(number, value) == 0;
		case PGC_STRING:
			return *((struct config_string *) setting)->variable != NULL &&
				strcmp(*((struct config_string *) setting)->variable,
					   value) == 0;
		case PGC_ENUM:
			return strcmp(config_enum_lookup_by_value((struct config_enum *) setting,
													  *((struct config_enum *) setting)->variable),
						  value) == 0;
		default:
			return false;
	}
}

/*
 * Returns the captured setting that a name=value is about, NULL if it is about
 * another one.  It is probably the one with this number.
 */
static struct config_generic *
find_captured(const char *setting, int number)
{
	int			n = (int) lengthof(captured_settings);
	int			i;

	for (i = 0; i < n; i++)
	{
		int			candidate = (number + i) % n;
		const char *name = captured_settings[candidate];
		Size		len = strlen(name);

		if (strncmp(setting, name, len) != 0 || setting[len] != '=')
			continue;
		if (found_settings[candidate] == NULL)
			found_settings[candidate] = find_setting_compat(name);
		return found_settings[candidate];
	}
	return NULL;
}

static void
set_to(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Sets what a name=value says, whatever it is about.
 */
static void
apply_any(const char *setting)
{
	const char *equals = strchr(setting, '=');
	const char *current;
	char		name[NAMEDATALEN];

	if (equals == NULL || equals - setting >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a setting and its value", setting)));
	strlcpy(name, setting, equals - setting + 1);

	/* Who it runs as is not for a setting to say. */
	if (pg_strcasecmp(name, "role") == 0 ||
		pg_strcasecmp(name, "session_authorization") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be among the settings that users' code runs with",
						name)));

	/* Setting some of them is dear. */
	current = GetConfigOption(name, true, false);
	if (current != NULL && strcmp(current, equals + 1) == 0)
		return;
	set_to(name, equals + 1);
}

void
es_user_code_apply_settings(List *settings)
{
	ListCell   *lc;

	foreach(lc, settings)
	{
		const char *setting = lfirst(lc);
		struct config_generic *captured =
			find_captured(setting, foreach_current_index(lc));

		if (captured == NULL)
			apply_any(setting);
		else if (!has_value(captured, strchr(setting, '=') + 1))
			set_to(captured->name, strchr(setting, '=') + 1);
	}
}

void
es_user_code_enter(EsUserCode *saved, Oid owner, List *settings)
{
	saved->guc_level = NewGUCNestLevel();
	saved->read_only = XactReadOnly;

	/* the command ids that are used from here on are the code's */
	saved->command = InvalidCommandId;
	if (!IsInParallelMode())
	{
		CommandCounterIncrement();
		saved->command = GetCurrentCommandId(false);
	}
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	es_user_code_apply_settings(settings);
	SetUserIdAndSecContext(owner,
						   saved->sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	XactReadOnly = true;
}

void
es_user_code_leave(const EsUserCode *saved)
{
	bool		writable = !XactReadOnly;
	bool		written = saved->command != InvalidCommandId &&
		saved->command != GetCurrentCommandId(false);

	/* not as at a commit: what the code has SET goes, too */
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
	XactReadOnly = saved->read_only;
	if (writable || written)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("functions that compute states or decide, upcasters and checks must not write"),
				 writable ?
				 errdetail("One of them has made the transaction read-write.") :
				 errdetail("One of them has found a way to write.")));
}
