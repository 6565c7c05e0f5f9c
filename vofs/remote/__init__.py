"""The service as the cache and the mount see it: one protocol, one implementation on vos."""
