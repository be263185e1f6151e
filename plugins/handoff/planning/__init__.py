"""From what a source tells to batches that wait, and to what they would come to."""
