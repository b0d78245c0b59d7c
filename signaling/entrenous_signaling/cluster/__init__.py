"""Several servers as one: who is where, and what they say to each other."""
