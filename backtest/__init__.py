"""The alert rules, measured on seeded shops: beside the way of an event, it plays the days of many shops."""
