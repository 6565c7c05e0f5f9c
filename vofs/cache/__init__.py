"""The write-back cache: local bytes, what is known of them, and their way to the service."""
