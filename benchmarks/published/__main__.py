"""`python -m benchmarks.published NAME`: see `benchmarks.published.reproduce`."""

from benchmarks.published.reproduce import main

if __name__ == "__main__":
    main()
