"""Speed of the workbench itself: stage overhead, sampling, aggregation."""
