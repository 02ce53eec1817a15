"""``python -m lowtide.cli``: the command line without its script, as a detached worker is started."""

from lowtide.cli import main

if __name__ == "__main__":
    main()
