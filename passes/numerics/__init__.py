"""Linear algebra on streamed values: ridge regression, normal equations, Gram matrices, similarity, moments."""
