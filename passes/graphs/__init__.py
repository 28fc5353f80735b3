"""What is asked of any traced graph and done to it, whichever pass asks."""
