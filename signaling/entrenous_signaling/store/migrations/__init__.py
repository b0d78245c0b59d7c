"""How the tables came to be, one step after the other, for each of the two databases."""
