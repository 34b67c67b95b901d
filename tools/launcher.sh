#!/bin/sh
# Runs Fenliu with the Node that came along: bin/fenliu of an archive and of an image.
here=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH="$here/../lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# By itself glibc has eight arenas a processor, each of which keeps what its threads have freed: what one search of the query log needs, once in each. And it
# takes ever larger blocks from them, which go back to the system only from the end. `npm start` sets the same. Other C libraries read neither.
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-2}" MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-4194304}"
exec "$here/node" --disable-warning=ExperimentalWarning "$here/../start.mjs" "$@"
