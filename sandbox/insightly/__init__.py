"""The stand-in for Insightly's REST API v3.1, built from contract insightly.md 1.1 to 1.9."""
