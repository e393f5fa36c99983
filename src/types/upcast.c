/*-------------------------------------------------------------------------
 *
 * upcast.c
 *	  Events of old versions, as the newest.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  An event of version n of a type is looked up at version n + 1: if that
 *	  has an upcaster, the event becomes what it returns, and goes on from
 *	  there; a renamed or split one along the chain of its new type.
 *
 *	  Everything that an event is made into lives in the per-tuple memory of
 *	  the expression context, until the next event.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "core/names.h"
#include "core/user_code.h"
#include "types/registry.h"

/* After so many steps a chain is taken for one that does not end. */
#define MAX_STEPS	1000

/* More pieces of one event are somebody's mistake. */
#define MAX_PIECES	100000

/*
 * An upcaster of one version, ready to run.
 */
typedef struct Step
{
	EsTypeVersion *version;
	Oid			owner;
	bool		trusted;
	bool		is_jsonb;		/* new data, else es_upcast_event */
	bool		is_array;		/* of es_upcast_event */
	ExprState  *state;			/* for one value */
	SetExprState *set;			/* for a set */
} Step;

struct EsUpcaster
{
	EsTypes    *types;
	MemoryContext context;		/* of the upcaster and all it has */
	ExprContext *econtext;
	MemoryContext arguments;	/* for those of functions that return sets */
	ParamListInfo params;
	Step	  **steps;			/* by number of version; NULL: not used yet */
	TupleDesc	event_desc;		/* es_upcast_event; NULL: not needed yet */
	char	   *returns_data;	/* by number of version: 'y', 'n', 0: not known */
	bool	   *checked;		/* by number of version: which may be planned;
								 * NULL: all of them */
	Datum		metadata;		/* of the event at hand */
	EsPiece    *pieces;			/* what it has become so far */
	int			npieces;
	int			max_pieces;
};

/*
 * What is going on, for the context of errors.
 */
typedef struct Where
{
	const EsTypeVersion *version;
	const EsEventName *name;
} Where;

static void follow(EsUpcaster *upcaster, EsPiece piece, Where *where,
				   int steps);

static void
add_context(void *arg)
{
	Where	   *where = arg;
	const EsEventName *name = where->name;

	if (where->version != NULL)
		errcontext("upcaster of event type \"%s\" to version %d",
				   where->version->row->event_type,
				   where->version->row->schema_version);
	if (name == NULL || name->stream == NULL)
		return;
	if (name->version > 0 && name->position > 0)
		errcontext("event %lld of stream \"%.*s\" at position %lld",
				   (long long) name->version, name->stream_len, name->stream,
				   (long long) name->position);
	else if (name->version > 0)
		errcontext("event %lld of stream \"%.*s\"", (long long) name->version,
				   name->stream_len, name->stream);
	else
		errcontext("an event of stream \"%.*s\"", name->stream_len,
				   name->stream);
}

/* ---------- making one ---------- */

static EsUpcaster *
make_upcaster(EsTypes *types, MemoryContext context)
{
	MemoryContext previous = MemoryContextSwitchTo(context);
	EsUpcaster *upcaster = palloc0(sizeof(EsUpcaster));

	upcaster->types = types;
	upcaster->context = context;
	upcaster->econtext = CreateStandaloneExprContext();
	upcaster->params = es_type_make_params(ES_UPCAST_PARAMS);
	upcaster->econtext->ecxt_param_list_info = upcaster->params;
	upcaster->steps = palloc0(types->nversions * sizeof(Step *));
	upcaster->max_pieces = 8;
	upcaster->pieces = palloc(upcaster->max_pieces * sizeof(EsPiece));
	MemoryContextSwitchTo(previous);
	return upcaster;
}

EsUpcaster *
es_upcaster_begin(const EsStore *store)
{
	EsTypes    *types = es_types_get(store);
	MemoryContext context;

	if (!types->has_upcasters)
		return NULL;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"event_store upcaster",
									ALLOCSET_DEFAULT_SIZES);
	es_types_hold(types, context);
	return make_upcaster(types, context);
}

EsUpcaster *
es_upcaster_begin_from(List *definitions)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "event_store upcaster",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	EsTypes    *types = es_types_make(definitions);

	MemoryContextSwitchTo(previous);
	if (types->has_upcasters)
		return make_upcaster(types, context);
	MemoryContextDelete(context);
	return NULL;
}

void
es_upcaster_trust_only(EsUpcaster *upcaster)
{
	upcaster->checked = MemoryContextAllocZero(upcaster->context,
											   upcaster->types->nversions * sizeof(bool));
}

/*
 * Is it a function that somebody has written?  es_upcast_to is none: it is
 * put in place as an expression.
 */
static bool
is_users_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId &&
		(strcmp(get_func_name(function), "es_upcast_to") != 0 ||
		 getExtensionOfObject(ProcedureRelationId, function) !=
		 get_extension_oid(ES_EXTENSION_NAME, true));
}

static bool
find_users_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_users_function, context))
		return true;
	return expression_tree_walker(node, find_users_function, context);
}

/*
 * Returns the code of an upcaster; if only what is trusted may run, nothing
 * else is even planned, for that can run functions.
 */
static const EsTypeCode *
get_code(EsUpcaster *upcaster, EsTypeVersion *version)
{
	const EsTypeCode *code = NULL;

	if (upcaster->checked == NULL || upcaster->checked[version->number])
		return es_type_upcaster(version);
	if (!find_users_function((Node *) es_type_parse_upcaster(version), NULL))
		code = es_type_upcaster(version);
	if (code == NULL || !code->trusted)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("event type \"%s\" version %d cannot be upcast in the feed",
						version->row->event_type, version->row->schema_version),
				 errdetail("Its upcaster calls functions that might read tables, or depend on settings."),
				 errhint("Read the feed with the option upcast = false, or use no functions in the upcaster but PostgreSQL's own immutable ones.")));
	upcaster->checked[version->number] = true;
	return code;
}

/*
 * Finds the version whose upcaster takes events of this type and version on;
 * NULL if there is none.
 */
static EsTypeVersion *
find_next(EsTypes *types, Datum event_type, int32 schema_version)
{
	text	   *name = DatumGetTextPP(event_type);
	EsTypeVersion *version;

	if (schema_version == PG_INT32_MAX)
		return NULL;
	version = es_types_find(types, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name),
							schema_version + 1);
	return version != NULL && version->is_upcast_to ? version : NULL;
}

bool
es_upcaster_wants(EsUpcaster *upcaster, Datum event_type, int32 schema_version)
{
	return find_next(upcaster->types, event_type, schema_version) != NULL;
}

/*
 * Does an upcaster return data only?
 */
static bool
returns_data(EsUpcaster *upcaster, EsTypeVersion *version)
{
	char	   *known;

	if (upcaster->returns_data == NULL)
		upcaster->returns_data =
			MemoryContextAllocZero(upcaster->context,
								   upcaster->types->nversions);
	known = &upcaster->returns_data[version->number];
	if (*known == '\0')
		*known = exprType((Node *) es_type_parse_upcaster(version)) == JSONBOID ?
			'y' : 'n';
	return *known == 'y';
}

bool
es_upcaster_keeps_type(EsUpcaster *upcaster, Datum event_type,
					   int32 schema_version)
{
	EsTypeVersion *version;

	while ((version = find_next(upcaster->types, event_type, schema_version)) != NULL)
	{
		if (!returns_data(upcaster, version))
			return false;
		schema_version = version->row->schema_version;
	}
	return true;
}

/*
 * Makes an upcaster ready to run; its functions' privileges are checked now.
 */
static Step *
make_step(EsUpcaster *upcaster, EsTypeVersion *version)
{
	const EsTypeCode *code = get_code(upcaster, version);
	MemoryContext previous = MemoryContextSwitchTo(upcaster->context);
	Step	   *step = palloc0(sizeof(Step));
	Expr	   *expr = copyObject(code->expr);
	Oid			type = code->result_type;
	EsUserCode	saved;

	step->version = version;
	step->owner = es_type_owner(version);
	step->trusted = code->trusted;
	step->is_jsonb = (type == JSONBOID);
	step->is_array = OidIsValid(get_element_type(type));
	if (step->is_array)
		type = get_element_type(type);
	if (!step->is_jsonb && upcaster->event_desc == NULL)
		upcaster->event_desc = lookup_rowtype_tupdesc_copy(type, -1);

	es_user_code_enter(&saved, step->owner, NIL);
	if (code->returns_set)
	{
		step->set = ExecInitFunctionResultSet(expr, upcaster->econtext, NULL);
		if (upcaster->arguments == NULL)
			upcaster->arguments =
				AllocSetContextCreate(upcaster->context,
									  "event_store upcaster arguments",
									  ALLOCSET_DEFAULT_SIZES);
	}
	else
		step->state = ExecInitExprWithParams(expr, upcaster->params);
	es_user_code_leave(&saved);

	upcaster->steps[version->number] = step;
	MemoryContextSwitchTo(previous);
	return step;
}

/* ---------- running one ---------- */

static void
set_param(EsUpcaster *upcaster, EsTypeParam number, Datum value, bool isnull)
{
	upcaster->params->params[number].value = value;
	upcaster->params->params[number].isnull = isnull;
}

static void
raise_null(const Step *step, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("upcaster of event type \"%s\" to version %d returned %s",
					step->version->row->event_type,
					step->version->row->schema_version, what),
			 errdetail("An event has a type, a version and data, and cannot be left out."),
			 errhint("Data that say nothing are '{}'.")));
}

/*
 * Takes an es_upcast_event apart.
 */
static EsPiece
read_event(EsUpcaster *upcaster, const Step *step, Datum value, bool isnull)
{
	HeapTupleHeader header;
	HeapTupleData tuple;
	Datum		values[3];
	bool		nulls[3];
	EsPiece		piece;

	if (isnull)
		raise_null(step, "NULL");
	header = DatumGetHeapTupleHeader(value);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, upcaster->event_desc, values, nulls);
	if (nulls[0])
		raise_null(step, "an event without a type");
	if (nulls[1])
		raise_null(step, "an event without a schema version");
	if (nulls[2])
		raise_null(step, "an event without data");
	piece.event_type = values[0];
	piece.schema_version = DatumGetInt32(values[1]);
	piece.data = values[2];
	return piece;
}

/*
 * Returns the only value of an upcaster that returns no more than one; NULLs
 * are refused.
 */
static Datum
run_single(EsUpcaster *upcaster, const Step *step)
{
	EsUserCode	saved;
	bool		isnull;
	Datum		value;

	if (step->trusted)
		value = ExecEvalExpr(step->state, upcaster->econtext, &isnull);
	else
	{
		es_user_code_enter(&saved, step->owner, step->version->row->settings);
		value = ExecEvalExpr(step->state, upcaster->econtext, &isnull);
		es_user_code_leave(&saved);
	}
	if (isnull)
		raise_null(step, "NULL");
	return value;
}

static EsPiece *
add_piece(EsPiece *pieces, int *n, int *max, EsPiece piece)
{
	if (*n >= MAX_PIECES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("an event must not become more than %d events",
						MAX_PIECES)));
	if (*n == *max)
	{
		*max *= 2;
		pieces = repalloc(pieces, *max * sizeof(EsPiece));
	}
	pieces[(*n)++] = piece;
	return pieces;
}

/*
 * Returns the events of an upcaster that returns a set.
 */
static EsPiece *
run_set(EsUpcaster *upcaster, const Step *step, int *npieces)
{
	int			max = 8;
	EsPiece    *pieces = palloc(max * sizeof(EsPiece));
	ExprDoneCond done = ExprMultipleResult;
	EsUserCode	saved;

	*npieces = 0;
	es_user_code_enter(&saved, step->owner, step->version->row->settings);
	while (done == ExprMultipleResult)
	{
		bool		isnull;
		Datum		value = ExecMakeFunctionResultSet(step->set,
													  upcaster->econtext,
													  upcaster->arguments,
													  &isnull, &done);

		CHECK_FOR_INTERRUPTS();
		if (done != ExprEndResult)
			pieces = add_piece(pieces, npieces, &max,
							   read_event(upcaster, step, value, isnull));
	}
	es_user_code_leave(&saved);
	MemoryContextReset(upcaster->arguments);
	return pieces;
}

/*
 * Returns the events of an array.
 */
static EsPiece *
read_array(EsUpcaster *upcaster, const Step *step, Datum value, int *npieces)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *elements;
	bool	   *nulls;
	EsPiece    *pieces;
	int			i;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE,
					  &elements, &nulls, npieces);
	pieces = palloc(Max(*npieces, 1) * sizeof(EsPiece));
	for (i = 0; i < *npieces; i++)
		pieces[i] = read_event(upcaster, step, elements[i], nulls[i]);
	return pieces;
}

/*
 * Refuses a piece that would not come to an end, or has no right type.
 */
static void
check_piece(const Step *step, const EsPiece *piece)
{
	const EsTypeDefinition *row = step->version->row;
	text	   *name = DatumGetTextPP(piece->event_type);

	if (VARSIZE_ANY_EXHDR(name) == 0 || piece->schema_version < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("upcaster of event type \"%s\" to version %d returned version %d of event type \"%s\"",
						row->event_type, row->schema_version,
						piece->schema_version, text_to_cstring(name)),
				 errdetail("An event type has a name, and versions begin at 1.")));
	if ((int) VARSIZE_ANY_EXHDR(name) == step->version->name_len &&
		memcmp(VARDATA_ANY(name), row->event_type, step->version->name_len) == 0 &&
		piece->schema_version < row->schema_version)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("upcaster of event type \"%s\" to version %d returned version %d",
						row->event_type, row->schema_version,
						piece->schema_version),
				 errdetail("Within a type the version must grow.")));
}

/*
 * Runs one upcaster over a piece; returns what it becomes.
 */
static EsPiece *
take_step(EsUpcaster *upcaster, EsTypeVersion *version, EsPiece *piece,
		  int *npieces)
{
	Step	   *step = upcaster->steps[version->number];
	EsPiece    *pieces;
	Datum		value;
	int			i;

	if (step == NULL)
		step = make_step(upcaster, version);
	set_param(upcaster, ES_TYPE_DATA, piece->data, false);
	set_param(upcaster, ES_TYPE_METADATA, upcaster->metadata,
			  DatumGetPointer(upcaster->metadata) == NULL);
	set_param(upcaster, ES_TYPE_EVENT_TYPE, piece->event_type, false);
	set_param(upcaster, ES_TYPE_SCHEMA_VERSION,
			  Int32GetDatum(piece->schema_version), false);

	*npieces = 1;
	if (step->set != NULL)
		pieces = run_set(upcaster, step, npieces);
	else
	{
		value = run_single(upcaster, step);
		if (step->is_jsonb)
		{
			piece->schema_version = version->row->schema_version;
			piece->data = value;
			return piece;
		}
		if (step->is_array)
			pieces = read_array(upcaster, step, value, npieces);
		else
		{
			*piece = read_event(upcaster, step, value, false);
			pieces = piece;
		}
	}
	if (*npieces == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("upcaster of event type \"%s\" to version %d returned no event",
						version->row->event_type, version->row->schema_version),
				 errhint("An event cannot be left out; it may become one of another type.")));
	for (i = 0; i < *npieces; i++)
		check_piece(step, &pieces[i]);
	return pieces;
}

/*
 * Takes a piece along the chain of its type to its end.
 */
static void
follow(EsUpcaster *upcaster, EsPiece piece, Where *where, int steps)
{
	EsTypeVersion *version;
	EsPiece    *pieces;
	int			n;
	int			i;

	check_stack_depth();
	while ((version = find_next(upcaster->types, piece.event_type,
								piece.schema_version)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		where->version = version;
		if (++steps > MAX_STEPS)
			ereport(ERROR,
					(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
					 errmsg("upcasting does not end after %d steps", MAX_STEPS),
					 errhint("Are event types renamed in a circle?")));

		/* once, and not each time the expression looks at it */
		piece.data = PointerGetDatum(PG_DETOAST_DATUM(piece.data));
		pieces = take_step(upcaster, version, &piece, &n);
		if (pieces == &piece)
			continue;
		for (i = 0; i < n; i++)
			follow(upcaster, pieces[i], where, steps);
		return;
	}
	upcaster->pieces = add_piece(upcaster->pieces, &upcaster->npieces,
								 &upcaster->max_pieces, piece);
}

EsPiece *
es_upcaster_apply(EsUpcaster *upcaster, const EsPiece *stored, Datum metadata,
				  const EsEventName *name, int *npieces)
{
	ErrorContextCallback callback;
	Where		where = {NULL, name};
	MemoryContext previous;

	callback.callback = add_context;
	callback.arg = &where;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	ResetExprContext(upcaster->econtext);
	previous = MemoryContextSwitchTo(upcaster->econtext->ecxt_per_tuple_memory);
	upcaster->npieces = 0;
	upcaster->metadata = metadata;
	follow(upcaster, *stored, &where, 0);
	MemoryContextSwitchTo(previous);

	error_context_stack = callback.previous;
	*npieces = upcaster->npieces;
	return upcaster->pieces;
}
