"""The stand-in for Quentn's API V1, built from contract quentn.md 4."""
