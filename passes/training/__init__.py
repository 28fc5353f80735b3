"""What training a network needs, whoever does it: steps, teachers, norms, and what is kept of it."""
