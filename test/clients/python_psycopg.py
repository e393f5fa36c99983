#!/usr/bin/env python3
#
# python_psycopg.py: event_store from psycopg 3, or from psycopg2, with
# parameters as those drivers send them.
#
import json
import os
import sys
import uuid

try:
    import psycopg
    from psycopg.types.json import Jsonb
    DRIVER = 'psycopg'
except ImportError:
    try:
        import psycopg2 as psycopg
        from psycopg2.extras import Json as Jsonb, register_uuid
        register_uuid()
        DRIVER = 'psycopg2'
    except ImportError:
        # The first python3 of the path need not be the distribution's, for which
        # the distribution's drivers are.
        if sys.executable != '/usr/bin/python3' and os.access('/usr/bin/python3', os.X_OK):
            os.execv('/usr/bin/python3', ['/usr/bin/python3', os.path.abspath(__file__)])
        print('1..0 # SKIP neither psycopg nor psycopg2 is installed')
        sys.exit(0)

DATABASE = 'client_psycopg'
DOCUMENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'documents.jsonl')
with open(DOCUMENTS, encoding='utf-8', newline='\n') as file:
    TEXTS = [line for line in file.read().split('\n') if line]
TYPES = [f'Document{i}' for i in range(len(TEXTS))]
IDS = [uuid.uuid4() for _ in TEXTS]
results = []


def test(check):
    """One assertion: a function that must not raise; its docstring is the name."""
    try:
        check()
        passed = True
    except Exception as error:      # whatever it is, it is a failure to report
        passed = False
        print('# ' + f'{type(error).__name__}: {error}'.replace('\n', '\n# '))
    results.append(passed)
    print(f'{"ok" if passed else "not ok"} {len(results)} - {check.__doc__}')


def connect(database):
    connection = psycopg.connect(dbname=database)
    connection.autocommit = True
    return connection


def execute(sql, parameters=()):
    cursor = connection.cursor()
    cursor.execute(sql, parameters)
    return cursor


def value(sql, parameters=()):
    return execute(sql, parameters).fetchone()[0]


def refused(code, sql, parameters):
    """The error of a statement that must fail with that SQLSTATE."""
    try:
        execute(sql, parameters)
    except psycopg.Error as error:
        found = error.pgcode if DRIVER == 'psycopg2' else error.sqlstate
        assert found == code, f'{found} instead of {code}: {error}'
        return error
    raise AssertionError(f'no error, but {code} was expected: {sql}')


def equal(got, expected):
    assert got == expected, f'{got!r} instead of {expected!r}'


connection = connect(os.environ.get('PGDATABASE', 'postgres'))
execute(f'DROP DATABASE IF EXISTS {DATABASE}')
execute(f'CREATE DATABASE {DATABASE}')
connection.close()
connection = connect(DATABASE)
execute('CREATE EXTENSION event_store')
print(f'# {DRIVER} {psycopg.__version__}')


@test
def _():
    """es_append with parameters"""
    equal(value('SELECT es_append(%s, %s, %s)', ('order-1', 'Placed', Jsonb({'total': 7}))), 1)
    equal(value('SELECT es_append(%s, %s, %s, %s, %s, %s, %s)',
                ('order-1', 'Paid', Jsonb({'amount': '7.00'}), Jsonb({'user_id': 'ü'}), 1, uuid.uuid4(), 2)), 2)
    equal(value('SELECT es_append(%s, %s, %s, %s, %s, %s, %s)',
                ('order-1', 'Shipped', '"a JSON text"', None, None, None, None)), 3)
    equal(value('SELECT es_append(%s, %s, %s, expected_version => %s)', ('order-1', 'Closed', 'true', 3)), 4)


@test
def _():
    """es_append_batch with parameters"""
    equal(value('SELECT es_append_batch(%s, %s, %s::jsonb[], expected_version => %s, event_ids => %s)',
                ('batch-1', TYPES, TEXTS, 0, IDS)), len(TEXTS))
    equal(value('SELECT es_append_batch(%s, %s, %s::jsonb[], %s::jsonb[])',
                ('batch-2', ['A', 'B'], [Jsonb({'n': 1}), Jsonb({'n': [2, 'zwei']})],
                 [Jsonb({}), Jsonb({'traceparent': '00-1'})])), 2)
    equal(value('SELECT es_append_batch(%s, %s::text[], %s::jsonb[])', ('batch-2', [], [])), 2)


@test
def _():
    """es_append_batch with arrays of the driver's own JSON type"""
    if DRIVER == 'psycopg':
        equal(value('SELECT es_append_batch(%s, %s, %s)', ('batch-3', ['A', 'B'], [Jsonb({'n': 1}), Jsonb('zwei')])), 2)
    else:
        equal(value('SELECT es_append_batch(%s, %s, ARRAY[%s, %s]::jsonb[])', ('batch-3', ['A', 'B'], Jsonb({'n': 1}), Jsonb('zwei'))), 2)


@test
def _():
    """es_append_json with parameters"""
    events = [f'{{"type": "{t}", "data": {d}, "id": "{i}"}}' for t, d, i in zip(TYPES, TEXTS, IDS)]
    equal(value('SELECT es_append_json(%s, %s)', ('json-1', f'[{",".join(events)}]')), len(TEXTS))
    equal(value('SELECT es_append_json(%s, %s, %s)',
                ('json-2', Jsonb([{'type': 'A', 'data': {'n': 1}}, {'type': 'B', 'data': None, 'schema_version': 2}]), 0)), 2)


@test
def _():
    """the same statement many times, as the driver prepares it"""
    for n in range(12):
        equal(value('SELECT es_append(%s, %s, %s, expected_version => %s)', ('prepared-1', 'E', Jsonb({'n': n}), n)), n + 1)


def same_json(stream):
    rows = execute('SELECT version, event_id, event_type, data, data::text FROM es_read_stream(%s)', (stream,)).fetchall()
    equal([row[4] for row in rows], TEXTS)
    equal([row[3] for row in rows], [json.loads(text) for text in TEXTS])
    equal([row[2] for row in rows], TYPES)
    equal([row[1] for row in rows], IDS)
    equal([row[0] for row in rows], list(range(1, len(TEXTS) + 1)))


@test
def _():
    """the same JSON comes back from es_append_batch"""
    same_json('batch-1')


@test
def _():
    """the same JSON comes back from es_append_json"""
    same_json('json-1')


@test
def _():
    """es_read_stream with parameters"""
    equal(execute('SELECT version FROM es_read_stream(%s, %s, %s, %s)', ('batch-1', 3, 2, True)).fetchall(), [(3,), (2,)])


@test
def _():
    """a conflict is known by its SQLSTATE"""
    error = refused('PE001', 'SELECT es_append_batch(%s, %s, %s::jsonb[], expected_version => %s)', ('batch-1', ['E'], ['1'], 1))
    equal(error.diag.message_primary, f'wrong version of stream "batch-1": expected 1, found {len(TEXTS)}')
    equal(error.diag.message_hint, 'Read the stream again and retry.')


@test
def _():
    """in a transaction too, and a savepoint saves it"""
    execute('BEGIN')
    equal(value('SELECT es_append(%s, %s, %s)', ('saved-1', 'A', '1')), 1)
    execute('SAVEPOINT a')
    refused('PE001', 'SELECT es_append(%s, %s, %s, expected_version => %s)', ('saved-1', 'B', '1', 0))
    execute('ROLLBACK TO a')
    equal(value('SELECT es_append(%s, %s, %s, expected_version => %s)', ('saved-1', 'B', '1', 1)), 2)
    execute('COMMIT')
    equal(value('SELECT es_stream_version(%s)', ('saved-1',)), 2)


@test
def _():
    """a retry gets the version of the first time"""
    for _ in range(2):
        equal(value('SELECT es_append_batch(%s, %s, %s::jsonb[], expected_version => %s, event_ids => %s)',
                    ('batch-1', TYPES, TEXTS, 0, IDS)), len(TEXTS))
    equal(value('SELECT es_stream_version(%s)', ('batch-1',)), len(TEXTS))


@test
def _():
    """the other errors are known by their SQLSTATEs"""
    refused('PE002', 'SELECT es_append(%s, %s, %s, event_id => %s)', ('batch-1', 'Other', '1', IDS[0]))
    refused('22004', 'SELECT es_append(%s, %s, %s)', (None, 'E', '1'))
    refused('22023', 'SELECT es_append(%s, %s, %s)', ('', 'E', '1'))
    refused('22P02', 'SELECT es_append(%s, %s, %s)', ('order-1', 'E', '{no json'))
    refused('22023', 'SELECT es_append_batch(%s, %s, %s::jsonb[])', ('order-1', ['E', 'F'], ['1']))
    refused('PE006', 'DELETE FROM es_events WHERE stream_id = %s', ('order-1',))


@test
def _():
    """a snapshot with parameters"""
    execute('SELECT es_save_snapshot(%s, %s, %s)', ('batch-1', 2, Jsonb({'state': [1, 'ü']})))
    equal(execute('SELECT version, state FROM es_load_snapshot(%s, %s)', ('batch-1', 5)).fetchall(), [(2, {'state': [1, 'ü']})])


connection.close()
print(f'1..{len(results)}')
sys.exit(0 if all(results) else 1)
