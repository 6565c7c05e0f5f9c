"""Clauses of VOSpace 2.1 and of CADC's extensions, one module per endpoint or subject."""
