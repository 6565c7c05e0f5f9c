"""The commands `mountvofs` and `vofs`."""
