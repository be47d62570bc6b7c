"""Losses: one number to make small.

`reduction` makes it of the losses of the elements or examples: `mean`, `sum`, or `none`, which leaves them as they are.
"""
