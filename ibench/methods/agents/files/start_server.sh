#!/usr/bin/env bash
# Replace this stub: start your server in the foreground on $HOST:$PORT, serving the
# model folder $MODEL_PATH under the name $MODEL_ID.
echo "start_server.sh is still the stub" >&2
exit 2
