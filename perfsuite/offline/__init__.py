"""What is answered without measuring: peak memory by a dry run, and limits by data sheets."""
