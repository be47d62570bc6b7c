"""Matrix products and look-ups with weights."""
