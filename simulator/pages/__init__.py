"""Pages that need nothing but a browser: the skeleton that they share."""
