"""stitchc stitches trained vision networks into new ones that meet a budget."""

__version__ = "0.1.0"
