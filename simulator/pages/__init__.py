"""Pages that need nothing but a browser: the skeleton that all of them share."""
