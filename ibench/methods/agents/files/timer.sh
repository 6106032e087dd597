#!/usr/bin/env bash
# Print the seconds left of the budget. Every process of the session ends at zero.
cd "$(dirname "$0")"
python - <<'PY'
import json, time
end_ns = json.load(open("session.json"))["deadline_ns"]
print(f"{max(0, end_ns - time.monotonic_ns()) / 1e9:.0f} s left")
PY
