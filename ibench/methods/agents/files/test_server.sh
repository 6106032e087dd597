#!/usr/bin/env bash
# Start ./start_server.sh, wait until it answers, run evaluate.py with these arguments,
# and stop the server again. The server's output is in server.log.
set -u
cd "$(dirname "$0")"
setsid ./start_server.sh > server.log 2>&1 &
launcher=$!
stop() { kill -TERM -- "-$launcher" 2> /dev/null; wait "$launcher" 2> /dev/null; }
trap stop EXIT
python evaluate.py --launcher-pid "$launcher" "$@"
