"""One training step on several devices: fresh processes, started by torch's elastic launcher, interleaved turns."""
