"""Heads for classes that the models do not have."""
