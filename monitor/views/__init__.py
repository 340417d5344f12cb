"""What the page and the watching terminal show, put together from the store: no I/O but reading it, no HTML."""
