"""What a result is: plain records that travel as strict JSON, and their checked reading."""
