"""Families: several chains of one pool of models that share weights, chosen and healed together.

candidates      chains of the pool within several budgets, stitched and scored
choose          the set of them that serves all budgets best for the bytes that it adds: numbers only
fit             the adapters of several chains; one that begins as another does shares its adapters
heal            the chains healed one after the other, each beginning with what the others have changed
"""
