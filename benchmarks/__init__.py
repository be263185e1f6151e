"""Figures that are measured, each against a bar: ``make bench``, or ``make bench ONLY=name``."""
