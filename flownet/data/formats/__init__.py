"""Readers of file formats: bytes in, arrays out, or an error that names the file and what was expected."""
