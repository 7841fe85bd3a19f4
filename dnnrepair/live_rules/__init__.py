"""Rules that judge a training run while it goes on, one a file; a monitor applies them."""
