"""`python -m gradc`: the command line, where the `gradc` script is not on the path."""

from gradc.cli import main

if __name__ == "__main__":
    main()
