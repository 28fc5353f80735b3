"""What a recipe.toml states, how it is read and written."""
