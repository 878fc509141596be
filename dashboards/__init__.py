"""What is seen: everything that is rendered from the catalogue."""
