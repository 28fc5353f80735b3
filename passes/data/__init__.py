"""What flows through the passes: models, images, cuts, chains, candidates, metrics, budgets, the plan; errors too."""
