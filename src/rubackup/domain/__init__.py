"""Records, enumerations, units, permissions and errors that every layer shares. No I/O."""
