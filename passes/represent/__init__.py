"""How each cut of a model represents the images."""
