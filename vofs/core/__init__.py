"""The pure core: decisions without I/O, time, threads or randomness (docs/architecture.md)."""
