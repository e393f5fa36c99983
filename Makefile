# event_store: an event store inside PostgreSQL.
#
#   make demo    install what is missing, build, start a private server, show a tour
#   make test    the same preparation, then every test (SUITES="regress tap": only these)
#   make         build against the PostgreSQL of PG_CONFIG; make install
#
#   make bench   measure it beside other systems (QUICK=1: under five minutes)
#   make bench-check   instructions per call against those in the repository
#
#   make demo-stop, make torture, make test-versions, make installcheck (on a running server)
#
EXTENSION   = event_store
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" event_store.control)
MODULE_big  = event_store

OBJS = \
	src/event_store.o \
	src/aggregate/cache.o \
	src/aggregate/category.o \
	src/aggregate/check.o \
	src/aggregate/define.o \
	src/aggregate/diff.o \
	src/aggregate/fingerprint.o \
	src/aggregate/fold.o \
	src/aggregate/history.o \
	src/aggregate/load.o \
	src/aggregate/moment.o \
	src/aggregate/prepare.o \
	src/aggregate/rebuild.o \
	src/aggregate/registry.o \
	src/aggregate/save.o \
	src/aggregate/state.o \
	src/aggregate/states.o \
	src/core/expression.o \
	src/core/guc.o \
	src/core/names.o \
	src/core/partition.o \
	src/core/user_code.o \
	src/core/uuid.o \
	src/catalog/catalog.o \
	src/catalog/events.o \
	src/catalog/leaf.o \
	src/catalog/statement.o \
	src/command/answer.o \
	src/command/command_id.o \
	src/command/decide.o \
	src/command/execute.o \
	src/decode/feed.o \
	src/decode/feed_json.o \
	src/decode/feed_options.o \
	src/decode/feed_table.o \
	src/decode/plugin.o \
	src/decode/reader.o \
	src/decode/wire.o \
	src/jsonschema/category.o \
	src/jsonschema/check.o \
	src/jsonschema/check_container.o \
	src/jsonschema/compat.o \
	src/jsonschema/compat_members.o \
	src/jsonschema/compat_rules.o \
	src/jsonschema/compile.o \
	src/jsonschema/functions.o \
	src/jsonschema/keyword.o \
	src/jsonschema/metaschema.o \
	src/jsonschema/pattern.o \
	src/jsonschema/refs.o \
	src/jsonschema/report.o \
	src/jsonschema/simple.o \
	src/jsonschema/translate.o \
	src/jsonschema/uri.o \
	src/jsonschema/value.o \
	src/launcher/hooks.o \
	src/launcher/launcher.o \
	src/launcher/pool.o \
	src/ledger/entry.o \
	src/ledger/find.o \
	src/ledger/functions.o \
	src/ledger/ledger.o \
	src/ledger/log_fdw.o \
	src/ledger/log_fdw_exec.o \
	src/ledger/log_share.o \
	src/ledger/logscan.o \
	src/ledger/rows.o \
	src/log/append.o \
	src/log/append_args.o \
	src/log/idempotency.o \
	src/log/insert.o \
	src/log/metadata.o \
	src/log/read.o \
	src/log/stream.o \
	src/log/trigger.o \
	src/log/xact.o \
	src/monitor/monitor.o \
	src/monitor/projections.o \
	src/privilege/privilege.o \
	src/projection/alter.o \
	src/projection/alter_view.o \
	src/projection/apply.o \
	src/projection/args.o \
	src/projection/batch.o \
	src/projection/build.o \
	src/projection/checkpoint.o \
	src/projection/create.o \
	src/projection/dead_letter.o \
	src/projection/failure.o \
	src/projection/handler.o \
	src/projection/heap.o \
	src/projection/inline.o \
	src/projection/handler_parse.o \
	src/projection/handler_run.o \
	src/projection/mode.o \
	src/projection/pool.o \
	src/projection/refresh.o \
	src/projection/rebuild.o \
	src/projection/registry.o \
	src/projection/shadow.o \
	src/projection/report.o \
	src/projection/run.o \
	src/projection/statement.o \
	src/projection/task.o \
	src/projection/verify.o \
	src/projection/views.o \
	src/projection/wait.o \
	src/sequencer/heal.o \
	src/sequencer/main.o \
	src/sequencer/manual.o \
	src/sequencer/publish.o \
	src/sequencer/sequencer.o \
	src/sequencer/slot.o \
	src/sequencer/state.o \
	src/sequencer/wait.o \
	src/sequencer/wal.o \
	src/snapshot/snapshot.o \
	src/types/check.o \
	src/types/code.o \
	src/types/define.o \
	src/types/feed.o \
	src/types/fingerprint.o \
	src/types/functions.o \
	src/types/registry.o \
	src/types/upcast.o \
	src/view/aggregate.o \
	src/view/analyze.o \
	src/view/check.o \
	src/view/explain.o \
	src/view/first_last.o \
	src/view/generate.o \
	src/view/order.o \
	src/view/parse.o \
	src/view/verify.o \
	src/worker/process.o \
	src/worker/tasks.o \
	src/worker/worker.o

# The order is the order of dependency: a part may use what stands before it.
SQL_PARTS = \
	src/core/header.sql \
	src/jsonschema/jsonschema.sql \
	src/catalog/tables.sql \
	src/types/tables.sql \
	src/aggregate/tables.sql \
	src/projection/tables.sql \
	src/types/types.sql \
	src/log/append.sql \
	src/log/metadata.sql \
	src/log/trigger.sql \
	src/ledger/ledger.sql \
	src/log/read.sql \
	src/log/trace.sql \
	src/ledger/log.sql \
	src/sequencer/sequencer.sql \
	src/monitor/monitor.sql \
	src/snapshot/snapshot.sql \
	src/command/command.sql \
	src/view/view.sql \
	src/projection/projection.sql \
	src/projection/rebuild.sql \
	src/projection/wait.sql \
	src/monitor/projections.sql \
	src/aggregate/aggregate.sql \
	src/privilege/privilege.sql \
	src/core/footer.sql

DATA_built  = build/$(EXTENSION)--$(EXTVERSION).sql
DATA        = $(wildcard src/upgrade/*--*--*.sql)
EXTRA_CLEAN = build

PG_CPPFLAGS = -I$(srcdir)/src -DES_VERSION='"$(EXTVERSION)"'
# Parameters stay unused in PostgreSQL's own headers and in its callbacks.
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter

# installcheck runs these on a server that is up; `make test` runs them, and
# everything else, on servers of its own. The first file creates the extension,
# the last one drops it and looks at what is left.
REGRESS_FILES  = $(notdir $(basename $(wildcard sql/*.sql)))
REGRESS        = init $(sort $(filter-out init drop,$(REGRESS_FILES))) drop
ISOLATION      = $(sort $(notdir $(basename $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=output_iso --load-extension=event_store

# A machine without PostgreSQL's build files can still run `make demo` and
# `make test`, which install them: PGXS is included only where it exists.
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
srcdir ?= .

ifneq ($(wildcard $(PGXS)),)
include $(PGXS)

# PGXS on Debian tracks no headers; and objects made for one PostgreSQL must
# not be taken for another one.
$(OBJS): $(wildcard src/*/*.h) build/made_for

build/made_for: FORCE
	@mkdir -p build
	@echo '$(PGXS) $(VERSION)' | cmp -s - $@ || echo '$(PGXS) $(VERSION)' > $@

build/$(EXTENSION)--$(EXTVERSION).sql: $(SQL_PARTS) event_store.control
	@mkdir -p build
	sed 's/@extversion@/$(EXTVERSION)/g' $(SQL_PARTS) > $@
else
all install:
	@echo "no build files of a PostgreSQL server (PG_CONFIG=$(PG_CONFIG)):"
	@echo "install postgresql-server-dev-NN, or let \`make demo\` do it"
	@exit 1
endif

# What these need to know of PostgreSQL they find out themselves: it may not be
# installed yet. PG_CONFIG is handed on as it was given.
demo:
	@PG_CONFIG='$(PG_CONFIG)' demo/run

demo-stop:
	@demo/run stop

test:
	@PG_CONFIG='$(PG_CONFIG)' test/run $(SUITES)

# The log against its model and its readers against its writers, for long:
# ES_SEED, ES_ROUNDS, ES_WRITERS, ES_READS choose which and how long.
torture:
	@PG_CONFIG='$(PG_CONFIG)' test/run torture

test-versions:
	@test/versions $(VERSIONS)

# Instructions per call against those in bench/instructions.tsv: CASES="append_any" for
# these only; bench/instructions.sh --update writes them.
bench-check:
	@PG_CONFIG='$(PG_CONFIG)' bench/instructions.sh $(CASES)

# Beside what people would take instead; QUICK=1 for a first look.
bench:
	@QUICK='$(QUICK)' PG_CONFIG='$(PG_CONFIG)' bench/compare

# For test/run: the order of the files is known here only.
print-%:
	@echo '$($*)'

.PHONY: bench bench-check demo demo-stop test torture test-versions FORCE
FORCE:
