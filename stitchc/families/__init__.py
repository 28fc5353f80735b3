"""What a family of networks consists of: its members, budgets, folder and record."""
