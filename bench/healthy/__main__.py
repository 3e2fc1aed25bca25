"""`python -m bench.healthy --check`."""

from bench.healthy.check import main

if __name__ == "__main__":
    main()
