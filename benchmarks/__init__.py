"""Training steps of gradc and of what one would pick instead, timed side by side. Run it with `python -m benchmarks`."""
