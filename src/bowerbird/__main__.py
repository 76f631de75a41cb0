"""``python -m bowerbird`` is the command line."""

from bowerbird.cli import main

main()
