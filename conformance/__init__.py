"""The behaviour of a VOSpace service, or of one mounted as a file system, clause by clause.

A clause is a pytest test with an identity that stays (`VOS-...`, `FS-...`) and the source of what
it demands. It talks HTTP to a service or uses paths of a mount, and knows nothing of what is
behind: the same clauses judge the fake, vofs on the fake, a real service and another client.
"""
