-- Views: the aggregates that their queries may use besides PostgreSQL's own,
-- and what becomes of a query.

CREATE FUNCTION es_first_step(state anyelement, value anyelement) RETURNS anyelement
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_first_step';
COMMENT ON FUNCTION es_first_step(anyelement, anyelement) IS 'step of the aggregate es_first(anyelement)';

CREATE FUNCTION es_last_step(state anyelement, value anyelement) RETURNS anyelement
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_last_step';
COMMENT ON FUNCTION es_last_step(anyelement, anyelement) IS 'step of the aggregate es_last(anyelement)';

CREATE FUNCTION es_first_by_step(state internal, value anyelement, ordinal bigint) RETURNS internal
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_first_by_step';
COMMENT ON FUNCTION es_first_by_step(internal, anyelement, bigint) IS 'step of the aggregate es_first(anyelement, bigint)';

CREATE FUNCTION es_last_by_step(state internal, value anyelement, ordinal bigint) RETURNS internal
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_last_by_step';
COMMENT ON FUNCTION es_last_by_step(internal, anyelement, bigint) IS 'step of the aggregate es_last(anyelement, bigint)';

CREATE FUNCTION es_first_by_combine(state internal, other internal) RETURNS internal
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_first_by_combine';
COMMENT ON FUNCTION es_first_by_combine(internal, internal) IS 'puts two states of es_first(anyelement, bigint) together';

CREATE FUNCTION es_last_by_combine(state internal, other internal) RETURNS internal
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_last_by_combine';
COMMENT ON FUNCTION es_last_by_combine(internal, internal) IS 'puts two states of es_last(anyelement, bigint) together';

CREATE FUNCTION es_by_serialize(state internal) RETURNS bytea
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_by_serialize';
COMMENT ON FUNCTION es_by_serialize(internal) IS 'hands a state of es_first or es_last to another process';

CREATE FUNCTION es_by_deserialize(data bytea, dummy internal) RETURNS internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_by_deserialize';
COMMENT ON FUNCTION es_by_deserialize(bytea, internal) IS 'takes a state of es_first or es_last from another process';

CREATE FUNCTION es_by_final(state internal, value anyelement, ordinal bigint) RETURNS anyelement
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_by_final';
COMMENT ON FUNCTION es_by_final(internal, anyelement, bigint) IS 'result of es_first and es_last with an order';

CREATE FUNCTION es_count_if_step(state bigint, condition boolean) RETURNS bigint
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_count_if_step';
COMMENT ON FUNCTION es_count_if_step(bigint, boolean) IS 'step of the aggregate es_count_if';

CREATE FUNCTION es_count_if_undo(state bigint, condition boolean) RETURNS bigint
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'es_count_if_undo';
COMMENT ON FUNCTION es_count_if_undo(bigint, boolean) IS 'step back of the aggregate es_count_if, for moving windows';

CREATE AGGREGATE es_first(anyelement) (
  SFUNC = es_first_step, STYPE = anyelement
);
COMMENT ON AGGREGATE es_first(anyelement) IS
  'the first value that is not NULL, in the order of the input (ORDER BY within the call, or that of the log in a view)';

CREATE AGGREGATE es_last(anyelement) (
  SFUNC = es_last_step, STYPE = anyelement
);
COMMENT ON AGGREGATE es_last(anyelement) IS
  'the last value that is not NULL, in the order of the input (ORDER BY within the call, or that of the log in a view)';

CREATE AGGREGATE es_first(value anyelement, ordinal bigint) (
  SFUNC = es_first_by_step, STYPE = internal, SSPACE = 96,
  FINALFUNC = es_by_final, FINALFUNC_EXTRA,
  COMBINEFUNC = es_first_by_combine, SERIALFUNC = es_by_serialize, DESERIALFUNC = es_by_deserialize,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE es_first(anyelement, bigint) IS
  'the value that is not NULL with the lowest order number';

CREATE AGGREGATE es_last(value anyelement, ordinal bigint) (
  SFUNC = es_last_by_step, STYPE = internal, SSPACE = 96,
  FINALFUNC = es_by_final, FINALFUNC_EXTRA,
  COMBINEFUNC = es_last_by_combine, SERIALFUNC = es_by_serialize, DESERIALFUNC = es_by_deserialize,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE es_last(anyelement, bigint) IS
  'the value that is not NULL with the highest order number';

CREATE AGGREGATE es_count_if(condition boolean) (
  SFUNC = es_count_if_step, STYPE = bigint, INITCOND = '0',
  COMBINEFUNC = pg_catalog.int8pl,
  MSFUNC = es_count_if_step, MINVFUNC = es_count_if_undo, MSTYPE = bigint, MINITCOND = '0',
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE es_count_if(boolean) IS 'number of rows for which the condition is true';

CREATE FUNCTION es_explain_view(query text, OUT step text, OUT statement text) RETURNS SETOF record
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'es_explain_view';
COMMENT ON FUNCTION es_explain_view(text) IS
  'the statements that es_create_view would use for a query: to make its table, to fill it, to merge a batch into it, to verify it';
