"""What subscriptions are about: what belongs to each, its state at one instant, who may see it."""
