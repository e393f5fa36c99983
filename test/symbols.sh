#!/bin/bash
#
# symbols.sh: does the library export names of its own only? PostgreSQL opens
# libraries with RTLD_GLOBAL, so a name without our prefix could collide with
# one of another extension.
#
set -euo pipefail
library=${1:?usage: test/symbols.sh event_store.so}

foreign=$(nm -D --defined-only "$library" | awk '{ print $NF }' |
	grep -vE '^(es_|pg_finfo_es_|Pg_magic_func$|_PG_init$|_PG_output_plugin_init$)' || true)
if [ -n "$foreign" ]; then
	printf 'exported without the prefix es_: %s\n' $foreign
	exit 1
fi
[ -n "$(nm -D --defined-only "$library" | grep ' Pg_magic_func$')" ]
