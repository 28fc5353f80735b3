"""Reports as pages: parts that have a form of their own there, and the rest as the terminal shows it, in HTML."""
