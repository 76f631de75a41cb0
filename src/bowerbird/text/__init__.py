"""What items are called and described as, in vectors that models can read."""
