"""What the notebooks to explore hold: pure functions, and thin widgets over them."""
