"""The kernel's side: names, handles, and the one place where errors become errno."""
