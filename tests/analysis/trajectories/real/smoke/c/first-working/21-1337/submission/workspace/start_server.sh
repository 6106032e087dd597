#!/usr/bin/env bash
set -euo pipefail
export OMP_NUM_THREADS=1
exec transformers serve "$MODEL_PATH" --host "$HOST" --port "$PORT" --dtype bfloat16 --continuous-batching --cb-num-blocks 512 --cb-max-batch-tokens 512
