"""The built-in ops, one file an op, brought by the same hook as everybody's."""
