"""When something is due, when it may go out, and when it is too late."""
