"""The read service: routes, the app around them, one plain page, and the command that runs it all."""
