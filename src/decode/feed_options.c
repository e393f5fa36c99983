/*-------------------------------------------------------------------------
 *
 * feed_options.c
 *	  What a consumer of the feed may ask for.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  An option is a row of the table "known": its name, how its value is read
 *	  and where that goes.  Whatever else is to be said about all options
 *	  (the hint that lists them) is made from the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "parser/scansup.h"
#include "utils/builtins.h"

#include "decode/feed_options.h"

typedef struct KnownOption KnownOption;

/* Reads value, which is NULL where none was given, into the field */
typedef void (*OptionReader) (const KnownOption *option, const char *value,
							  void *field);

struct KnownOption
{
	const char *name;
	OptionReader read;
	Size		offset;			/* of the field in EsFeedOptions */
	bool		maybe_empty;	/* lists: may an element be missing? */
	const char *allowed;		/* the hint about values */
};

static void read_format(const KnownOption *option, const char *value,
						void *field);
static void read_names(const KnownOption *option, const char *value,
					   void *field);
static void read_boolean(const KnownOption *option, const char *value,
						 void *field);

#define NAMES_ALLOWED "Names are separated by commas; put one that has commas, or spaces at its ends, into double quotes."

static const KnownOption known[] = {
	{"format", read_format, offsetof(EsFeedOptions, format), false,
	"Formats are json and cloudevents."},
	{"categories", read_names, offsetof(EsFeedOptions, categories), false,
	NAMES_ALLOWED},
	{"event_types", read_names, offsetof(EsFeedOptions, event_types), false,
	NAMES_ALLOWED},
	{"tenants", read_names, offsetof(EsFeedOptions, tenants), true,
	NAMES_ALLOWED},
	{"transactions", read_boolean, offsetof(EsFeedOptions, transactions), false,
	"Values are true and false."},
	{"upcast", read_boolean, offsetof(EsFeedOptions, upcast), false,
	"Values are true and false."},
};

/* Names of the formats, by number */
static const char *const format_names[] = {
	[ES_FEED_JSON] = "json",
	[ES_FEED_CLOUDEVENTS] = "cloudevents",
};

/*
 * Raises the error for a value that an option cannot have.
 */
static void
refuse_value(const KnownOption *option, const char *value)
{
	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" of the feed needs a value", option->name),
				 errhint("%s", option->allowed)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\" of the feed: \"%s\"",
					option->name, value),
			 errhint("%s", option->allowed)));
}

static void
read_format(const KnownOption *option, const char *value, void *field)
{
	int			i;

	for (i = 0; value != NULL && i < (int) lengthof(format_names); i++)
	{
		if (strcmp(value, format_names[i]) == 0)
		{
			*(EsFeedFormat *) field = (EsFeedFormat) i;
			return;
		}
	}
	refuse_value(option, value);
}

/*
 * Reads a boolean; an option without a value is switched on.
 */
static void
read_boolean(const KnownOption *option, const char *value, void *field)
{
	if (value == NULL)
		*(bool *) field = true;
	else if (!parse_bool(value, (bool *) field))
		refuse_value(option, value);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/*
 * Reads a name in double quotes, in which a doubled one stands for itself.
 *
 * Returns what follows the closing quote, NULL if there is none.
 */
static const char *
read_quoted_name(const char *p, StringInfo name)
{
	for (p++; *p != '\0'; p++)
	{
		if (*p == '"')
		{
			if (p[1] != '"')
				return p + 1;
			p++;
		}
		appendStringInfoChar(name, *p);
	}
	return NULL;
}

static const char *
skip_spaces(const char *p)
{
	while (scanner_isspace(*p))
		p++;
	return p;
}

/*
 * Reads one element of a list, up to the comma or the end behind it.
 *
 * Returns where that is, NULL if this is no element.
 */
static const char *
read_element(const KnownOption *option, const char *p, StringInfo name)
{
	resetStringInfo(name);
	p = skip_spaces(p);
	if (*p == '"')
	{
		p = read_quoted_name(p, name);
		if (p == NULL)
			return NULL;
		p = skip_spaces(p);
		return *p == '\0' || *p == ',' ? p : NULL;
	}

	while (*p != '\0' && *p != ',')
		appendStringInfoChar(name, *p++);
	while (name->len > 0 && scanner_isspace(name->data[name->len - 1]))
		name->data[--name->len] = '\0';
	return name->len > 0 || option->maybe_empty ? p : NULL;
}

/*
 * Reads a list of names.
 *
 * They are not identifiers: they keep their case, and have no limit but their
 * own.  An empty name that nobody can have meant is refused.
 */
static void
read_names(const KnownOption *option, const char *value, void *field)
{
	EsNameSet  *set = field;
	List	   *names = NIL;
	StringInfoData name;
	const char *p = value;
	ListCell   *cell;

	if (value == NULL)
		refuse_value(option, value);
	initStringInfo(&name);
	for (;;)
	{
		p = read_element(option, p, &name);
		if (p == NULL)
			refuse_value(option, value);
		names = lappend(names, pstrdup(name.data));
		if (*p == '\0')
			break;
		p++;
	}

	set->given = true;
	set->nnames = 0;
	set->names = palloc(sizeof(char *) * list_length(names));
	foreach(cell, names)
		set->names[set->nnames++] = lfirst(cell);
	qsort(set->names, set->nnames, sizeof(char *), compare_names);
	list_free(names);
	pfree(name.data);
}

static const KnownOption *
find_option(const char *name)
{
	StringInfoData names;
	int			i;

	for (i = 0; i < (int) lengthof(known); i++)
	{
		if (strcmp(name, known[i].name) == 0)
			return &known[i];
	}

	initStringInfo(&names);
	for (i = 0; i < (int) lengthof(known); i++)
		appendStringInfo(&names, "%s\"%s\"",
						 i == 0 ? "" : i == lengthof(known) - 1 ? " and " : ", ",
						 known[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the feed has no option \"%s\"", name),
			 errhint("Options are %s.", names.data)));
	return NULL;				/* not reached */
}

void
es_feed_parse_options(List *given, EsFeedOptions *options)
{
	bool		seen[lengthof(known)] = {false};
	ListCell   *cell;

	memset(options, 0, sizeof(EsFeedOptions));
	options->upcast = true;
	foreach(cell, given)
	{
		DefElem    *element = lfirst(cell);
		const KnownOption *option = find_option(element->defname);

		if (seen[option - known])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" of the feed is given twice",
							option->name)));
		seen[option - known] = true;
		option->read(option, element->arg ? strVal(element->arg) : NULL,
					 (char *) options + option->offset);
	}
}

bool
es_feed_name_passes(const EsNameSet *set, const char *data, int len)
{
	int			low = 0;
	int			high = set->nnames;

	if (!set->given)
		return true;
	while (low < high)
	{
		int			middle = (low + high) / 2;
		const char *name = set->names[middle];
		int			difference = strncmp(name, data, len);

		if (difference == 0 && name[len] != '\0')
			difference = 1;
		if (difference == 0)
			return true;
		if (difference < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
