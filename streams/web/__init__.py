"""The read service: routes and the app around them, streams, pages, who may ask, and its command."""
