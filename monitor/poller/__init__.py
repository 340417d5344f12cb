"""What the daemon does again and again: `jobs` says what, `scheduler` when."""
