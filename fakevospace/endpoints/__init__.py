"""The resources of the service: one module per kind, plain functions from `Exchange` to `Reply`."""
