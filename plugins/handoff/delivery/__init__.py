"""The delivery engine: from the exact moment to settled effects, in order, none twice."""
