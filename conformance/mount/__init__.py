"""Clauses of a file system as POSIX programs see it, one module per group of operations."""
