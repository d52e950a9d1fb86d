"""Fuzzed parsers of the chunk store and the wire: `scripts/fuzz-parsers`."""
