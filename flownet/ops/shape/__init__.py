"""Ops that move elements and compute nothing: views, cuts, joints, borders, enlargements."""
