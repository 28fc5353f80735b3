"""What a search of a pool is given, how it goes on, and what it says."""
