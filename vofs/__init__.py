"""vofs: a VOSpace mounted as a file system, with a crash-safe write-back cache."""

__version__ = "0.1.0"
