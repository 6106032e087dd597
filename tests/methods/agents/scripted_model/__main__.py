from __future__ import annotations

import sys

from tests.methods.agents.scripted_model.server import main

sys.exit(main(sys.argv[1:]))
