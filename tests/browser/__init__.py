"""The pages in headless Chromium against the real service with the generator running; and their pictures."""
