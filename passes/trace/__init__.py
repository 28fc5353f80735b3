"""From modules to graphs: the front-ends and the pass."""
