"""Vector functions timed in a process of their own, by who has them."""
