"""Training steps of gradc and of what one would pick instead, timed side by side: `python -m benchmarks`."""
