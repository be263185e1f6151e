"""Vendor protocols without I/O: build a request, read an answer."""
