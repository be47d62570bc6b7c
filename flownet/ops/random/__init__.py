"""Random numbers that depend on seed, step and node alone, and what is made with them."""
