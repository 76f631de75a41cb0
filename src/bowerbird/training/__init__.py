"""The train loop, its losses and its batches."""
