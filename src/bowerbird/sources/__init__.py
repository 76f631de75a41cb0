"""Where events come from: files of any shape, and a simulated shop."""
