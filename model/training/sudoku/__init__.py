"""A small DiffusionGemma that solves Sudoku, from puzzles to figures; see `walkthrough.py` and `../README.md`."""
