"""Result files as values: read, checked, labelled."""
