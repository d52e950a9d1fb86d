"""One module a process with `main()`: reads settings, builds adapters, starts."""
