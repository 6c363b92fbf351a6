"""One module per task of the command `perfsuite`: its options, and how it runs; imported when it is called."""
