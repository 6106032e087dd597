#!/usr/bin/env python3
"""Measure the server on $HOST:$PORT with the development requests (see --help)."""

from ibench.methods.agents.evaluator import main

raise SystemExit(main())
