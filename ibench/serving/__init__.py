"""Sandboxed processes, supervised launches, engines and the reference server."""
