"""`python -m flownet` is `flownet`."""

from flownet.cli import main

if __name__ == "__main__":
    main()
