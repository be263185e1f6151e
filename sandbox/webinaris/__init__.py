"""The stand-in for Webinaris, built from contract webinaris.md, and an assumed surface beside it."""
