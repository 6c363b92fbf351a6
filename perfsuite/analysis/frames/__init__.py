"""What results say, computed: rows of cells, pairs, trainings, environments."""
