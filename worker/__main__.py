"""`python -m worker` is `halo-worker`."""

from worker.cli.main import main

main()
