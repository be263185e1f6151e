"""What people read: templates, mails, and the links in them."""
