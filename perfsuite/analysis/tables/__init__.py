"""Tables, one module for each, and the formats they are written in."""
