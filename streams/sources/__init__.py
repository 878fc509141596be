"""Where events come from when no shop is connected: a seeded generator, and a year of real baskets."""
