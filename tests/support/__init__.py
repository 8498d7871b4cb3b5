"""What tests share: emitted modules as plain Python or compiled, and random models."""
