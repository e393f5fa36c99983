/*-------------------------------------------------------------------------
 *
 * feed_json.c
 *	  Objects of the feed as JSON.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  The layout is that of jsonb: a space behind colons and commas.  Data and
 *	  metadata are as jsonb prints them.
 *
 *	  CloudEvents 1.0 wants source + id to be unique.  An event id is unique in
 *	  its stream, so that the source is the stream; the id stays the one that
 *	  causation ids of other events tell of; of an event that is split, the
 *	  pieces from the second on have their number behind it.  Integers of CloudEvents have 32
 *	  bits and its strings are not empty and without control characters: what
 *	  does not fit is written as a string, or left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "core/compat.h"
#include "core/names.h"
#include "decode/feed_json.h"

/* Appends a value to an object whose keys stand in a table */
typedef void (*ValueWriter) (StringInfo out, Datum value);

typedef struct JsonKey
{
	const char *name;
	EsFeedColumn column;
	ValueWriter append;
} JsonKey;

static void append_text(StringInfo out, Datum value);
static void append_integer(StringInfo out, Datum value);
static void append_bigint(StringInfo out, Datum value);
static void append_uuid(StringInfo out, Datum value);
static void append_time(StringInfo out, Datum value);
static void append_document(StringInfo out, Datum value);

static const JsonKey json_keys[] = {
	{"stream_id", ES_FEED_STREAM_ID, append_text},
	{"version", ES_FEED_VERSION, append_bigint},
	{"event_type", ES_FEED_EVENT_TYPE, append_text},
	{"schema_version", ES_FEED_SCHEMA_VERSION, append_integer},
	{"event_id", ES_FEED_EVENT_ID, append_uuid},
	{"recorded_at", ES_FEED_RECORDED_AT, append_time},
	{"tenant_id", ES_FEED_TENANT_ID, append_text},
	{"tx", ES_FEED_TX, append_bigint},
	{"ordinal", ES_FEED_ORDINAL, append_integer},
	{"data", ES_FEED_DATA, append_document},
	{"metadata", ES_FEED_METADATA, append_document},
};

/*
 * Keys of metadata that become attributes of a CloudEvent.
 */
static const struct
{
	const char *key;
	const char *attribute;
}			metadata_attributes[] = {
	{"correlation_id", "correlationid"},
	{"causation_id", "causationid"},
	{"user_id", "userid"},
	{"traceparent", "traceparent"},
	{"tracestate", "tracestate"},
};

/*
 * Appends a key, with what parts it from the one before.
 */
static void
append_key(StringInfo out, const char *key)
{
	if (out->data[out->len - 1] != '{')
		appendStringInfoString(out, ", ");
	appendStringInfo(out, "\"%s\": ", key);
}

static void
append_text(StringInfo out, Datum value)
{
	char	   *string = TextDatumGetCString(value);

	escape_json(out, string);
	pfree(string);
}

static void
append_integer(StringInfo out, Datum value)
{
	appendStringInfo(out, "%d", DatumGetInt32(value));
}

static void
append_bigint(StringInfo out, Datum value)
{
	appendStringInfo(out, INT64_FORMAT, DatumGetInt64(value));
}

static void
append_uuid(StringInfo out, Datum value)
{
	const pg_uuid_t *uuid = DatumGetUUIDP(value);
	int			i;

	appendStringInfoCharMacro(out, '"');
	for (i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			appendStringInfoCharMacro(out, '-');
		appendStringInfo(out, "%02x", uuid->data[i]);
	}
	appendStringInfoCharMacro(out, '"');
}

/*
 * Appends a time as RFC 3339 has it, in UTC, if it has it: returns false and
 * appends nothing for the infinite ones and those outside of the years 1 to
 * 9999.
 */
static bool
append_rfc3339(StringInfo out, TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (TIMESTAMP_NOT_FINITE(time) ||
		timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0 ||
		tm.tm_year < 1 || tm.tm_year > 9999)
		return false;
	appendStringInfo(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"",
					 tm.tm_year, tm.tm_mon, tm.tm_mday,
					 tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);
	return true;
}

/*
 * Appends a time; those that RFC 3339 does not have as to_json writes them.
 */
static void
append_time(StringInfo out, Datum value)
{
	int			utc = 0;

	if (!append_rfc3339(out, DatumGetTimestampTz(value)))
		appendStringInfo(out, "\"%s\"",
						 JsonEncodeDateTime(NULL, value, TIMESTAMPTZOID,
											&utc));
}

static void
append_document(StringInfo out, Datum value)
{
	Jsonb	   *document = DatumGetJsonbP(value);

	(void) JsonbToCString(out, &document->root, VARSIZE(document));
	if ((Pointer) document != DatumGetPointer(value))
		pfree(document);
}

/*
 * Appends a column, null where it is NULL.
 */
static void
append_column(StringInfo out, const char *key, const EsFeedEvent *event,
			  EsFeedColumn column, ValueWriter append)
{
	append_key(out, key);
	if (event->nulls[column])
		appendStringInfoString(out, "null");
	else
		append(out, event->values[column]);
}

static void
append_lsn(StringInfo out, const char *key, XLogRecPtr lsn)
{
	append_key(out, key);
	appendStringInfo(out, "\"%X/%X\"", LSN_FORMAT_ARGS(lsn));
}

/*
 * Appends the number of the piece, if the event is split.
 */
static void
append_piece(StringInfo out, const EsFeedEvent *event)
{
	if (event->piece == 0)
		return;
	append_key(out, "piece");
	appendStringInfo(out, "%d", event->piece);
}

static void
append_json_event(StringInfo out, const EsFeedTransaction *txn,
				  const EsFeedEvent *event)
{
	int			i;

	appendStringInfoChar(out, '{');
	for (i = 0; i < (int) lengthof(json_keys); i++)
		append_column(out, json_keys[i].name, event, json_keys[i].column,
					  json_keys[i].append);
	append_piece(out, event);
	append_lsn(out, "lsn", txn->end_lsn);
	append_key(out, "committed_at");
	append_time(out, TimestampTzGetDatum(txn->committed_at));
	appendStringInfoChar(out, '}');
}

/*
 * Appends the body of the object for the begin or the commit of a
 * transaction.
 */
static void
append_boundary(StringInfo out, const char *kind,
				const EsFeedTransaction *txn)
{
	appendStringInfoChar(out, '{');
	append_key(out, kind);
	appendStringInfo(out, "%u", txn->xid);
	append_lsn(out, "lsn", txn->end_lsn);
	append_key(out, "committed_at");
	append_time(out, TimestampTzGetDatum(txn->committed_at));
	if (strcmp(kind, "commit") == 0)
	{
		append_key(out, "events");
		appendStringInfo(out, INT64_FORMAT, txn->nevents);
	}
	appendStringInfoChar(out, '}');
}

/*
 * The same as a CloudEvent.
 */
static void
append_cloud_boundary(StringInfo out, const char *kind,
					  const EsFeedTransaction *txn)
{
	appendStringInfo(out, "{\"specversion\": \"1.0\", \"id\": \"%X/%X-%s\", \"source\": \"%s\", \"type\": \"event_store.transaction.%s\"",
					 LSN_FORMAT_ARGS(txn->end_lsn), kind, txn->source, kind);
	append_key(out, "time");
	append_time(out, TimestampTzGetDatum(txn->committed_at));
	appendStringInfoString(out, ", \"datacontenttype\": \"application/json\", \"data\": ");
	append_boundary(out, kind, txn);
	appendStringInfoChar(out, '}');
}

void
es_feed_append_uri(StringInfo out, const char *bytes, int len)
{
	const char *p;

	for (p = bytes; p < bytes + len; p++)
	{
		unsigned char c = (unsigned char) *p;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || strchr("-._~", c) != NULL)
			appendStringInfoCharMacro(out, c);
		else
			appendStringInfo(out, "%%%02X", c);
	}
}

/*
 * Appends what identifies the stream: source and subject.
 */
static void
append_stream(StringInfo out, const EsFeedTransaction *txn,
			  const EsFeedEvent *event)
{
	static const EsFeedColumn segments[] = {
		ES_FEED_TENANT_ID, ES_FEED_STREAM_ID
	};
	int			i;

	append_key(out, "source");
	appendStringInfo(out, "\"%s", txn->source);
	for (i = 0; i < (int) lengthof(segments); i++)
	{
		char	   *name;

		appendStringInfoChar(out, '/');
		if (event->nulls[segments[i]])
			continue;
		name = TextDatumGetCString(event->values[segments[i]]);
		name = pg_server_to_any(name, strlen(name), PG_UTF8);
		es_feed_append_uri(out, name, strlen(name));
	}
	appendStringInfoChar(out, '"');
	append_column(out, "subject", event, ES_FEED_STREAM_ID, append_text);
}

/*
 * Appends an integer, as a string if CloudEvents has none of that size.
 */
static void
append_cloud_integer(StringInfo out, const char *key, int64 value)
{
	bool		fits = value >= PG_INT32_MIN && value <= PG_INT32_MAX;

	append_key(out, key);
	appendStringInfo(out, fits ? INT64_FORMAT : "\"" INT64_FORMAT "\"",
					 value);
}

/*
 * Appends those strings of the metadata that are attributes.
 */
static void
append_metadata_attributes(StringInfo out, const EsFeedEvent *event)
{
	Jsonb	   *metadata;
	int			i;

	if (event->nulls[ES_FEED_METADATA])
		return;
	metadata = DatumGetJsonbP(event->values[ES_FEED_METADATA]);
	for (i = 0; JB_ROOT_IS_OBJECT(metadata) &&
		 i < (int) lengthof(metadata_attributes); i++)
	{
		const char *key = metadata_attributes[i].key;
		JsonbValue	value;
		char	   *string;

		if (getKeyJsonValueFromContainer(&metadata->root, key, strlen(key),
										 &value) == NULL ||
			value.type != jbvString || value.val.string.len == 0 ||
			es_name_problem(value.val.string.val, value.val.string.len,
							value.val.string.len) != NULL)
			continue;
		string = pnstrdup(value.val.string.val, value.val.string.len);
		append_key(out, metadata_attributes[i].attribute);
		escape_json(out, string);
		pfree(string);
	}
}

/*
 * Appends an attribute that is a time, if CloudEvents can have it.
 */
static void
append_cloud_time(StringInfo out, const char *key, TimestampTz time)
{
	int			before = out->len;

	append_key(out, key);
	if (!append_rfc3339(out, time))
	{
		out->len = before;
		out->data[before] = '\0';
	}
}

/*
 * Returns the number of bytes of a text.
 */
static int
text_length(Datum value)
{
	text	   *t = DatumGetTextPP(value);

	return VARSIZE_ANY_EXHDR(t);
}

static void
append_cloud_event(StringInfo out, const EsFeedTransaction *txn,
				   const EsFeedEvent *event)
{
	const Datum *values = event->values;

	appendStringInfoString(out, "{\"specversion\": \"1.0\"");
	append_column(out, "id", event, ES_FEED_EVENT_ID, append_uuid);
	if (event->piece > 1)
	{
		out->len--;				/* the quotation mark */
		appendStringInfo(out, "/%d\"", event->piece);
	}
	append_stream(out, txn, event);
	append_column(out, "type", event, ES_FEED_EVENT_TYPE, append_text);
	append_cloud_time(out, "time",
					  event->nulls[ES_FEED_RECORDED_AT] ? DT_NOEND :
					  DatumGetTimestampTz(values[ES_FEED_RECORDED_AT]));
	append_cloud_integer(out, "streamversion",
						 DatumGetInt64(values[ES_FEED_VERSION]));
	append_cloud_integer(out, "schemaversion",
						 DatumGetInt32(values[ES_FEED_SCHEMA_VERSION]));
	append_piece(out, event);
	if (!event->nulls[ES_FEED_TENANT_ID] &&
		text_length(values[ES_FEED_TENANT_ID]) > 0)
		append_column(out, "tenant", event, ES_FEED_TENANT_ID, append_text);
	append_metadata_attributes(out, event);
	append_cloud_integer(out, "ordinal", DatumGetInt32(values[ES_FEED_ORDINAL]));
	append_lsn(out, "lsn", txn->end_lsn);
	append_cloud_time(out, "committedat", txn->committed_at);
	appendStringInfoString(out, ", \"datacontenttype\": \"application/json\"");
	append_column(out, "data", event, ES_FEED_DATA, append_document);
	appendStringInfoChar(out, '}');
}

void
es_feed_append_event(StringInfo out, EsFeedFormat format,
					 const EsFeedTransaction *txn, const EsFeedEvent *event)
{
	if (format == ES_FEED_CLOUDEVENTS)
		append_cloud_event(out, txn, event);
	else
		append_json_event(out, txn, event);
}

void
es_feed_append_begin(StringInfo out, EsFeedFormat format,
					 const EsFeedTransaction *txn)
{
	if (format == ES_FEED_CLOUDEVENTS)
		append_cloud_boundary(out, "begin", txn);
	else
		append_boundary(out, "begin", txn);
}

void
es_feed_append_commit(StringInfo out, EsFeedFormat format,
					  const EsFeedTransaction *txn)
{
	if (format == ES_FEED_CLOUDEVENTS)
		append_cloud_boundary(out, "commit", txn);
	else
		append_boundary(out, "commit", txn);
}

void
es_feed_append_ascii(StringInfo out, const char *json, int len)
{
	char	   *utf8 = pg_server_to_any(json, len, PG_UTF8);
	const char *p = utf8;
	const char *end = utf8 + (utf8 != json ? (int) strlen(utf8) : len);

	while (p < end)
	{
		pg_wchar	character;

		if (!IS_HIGHBIT_SET(*p))
		{
			appendStringInfoCharMacro(out, *p);
			p++;
			continue;
		}
		character = utf8_to_unicode((const unsigned char *) p);
		if (character < 0x10000)
			appendStringInfo(out, "\\u%04x", character);
		else
			appendStringInfo(out, "\\u%04x\\u%04x",
							 0xD800 + ((character - 0x10000) >> 10),
							 0xDC00 + ((character - 0x10000) & 0x3FF));
		p += pg_utf_mblen((const unsigned char *) p);
	}
	if (utf8 != json)
		pfree(utf8);
}
