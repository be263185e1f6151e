"""Where other systems push to: who they are, what they may send, and what is kept of it."""
