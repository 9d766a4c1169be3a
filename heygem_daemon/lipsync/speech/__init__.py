"""From sound to mouth motion: features at 100 Hz, visemes, and the drivers made of them."""
