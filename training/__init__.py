"""How the weights of the speech driver are made: `make train-driver` (see README.md beside this file)."""
