#!/usr/bin/env bash
set -euo pipefail
export OMP_NUM_THREADS=1
exec python -m ibench.serving.reference --model "$MODEL_PATH" --served-model-name "$MODEL_ID" --host "$HOST" --port "$PORT" --dtype bfloat16
