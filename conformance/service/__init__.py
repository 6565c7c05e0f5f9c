"""Clauses of VOSpace 2.1, one module per endpoint."""
