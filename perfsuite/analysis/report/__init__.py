"""One self-contained HTML page from any set of results."""
