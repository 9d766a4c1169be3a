"""`python -m heygem_daemon` is `heygem`."""

from heygem_daemon.cli import main

main()
