"""One module per command of `heygem`, named as the command."""
