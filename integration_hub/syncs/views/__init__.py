"""The pages of syncs, runs and rejects: each view gathers what one page shows; what is done is done in services."""
