"""HTTP itself: problems, pages, forms, downloads, static files, the bounds of a connection."""
