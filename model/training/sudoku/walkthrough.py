"""From nothing to a solved puzzle: teach a DiffusionGemma the rules of Sudoku, and let `lacuna` fill one in while you watch.

    cd model/training && python -m sudoku.walkthrough WORK_FOLDER [minutes-long steps of training: 2000]

Nobody tells the network a rule. It sees solved grids with cells missing and learns to write those; at inference every
empty cell is a hole on one canvas, all of them are guessed at once, and the surest guesses stay.
"""
import random
import subprocess
import sys
from pathlib import Path

from sudoku import export, puzzles, train
from sudoku.measure import text

work, steps = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "2000"
work.mkdir(parents=True, exist_ok=True)

# 1. Puzzles with one solution each. Renaming digits and exchanging rows makes billions of these few thousand.
rng = random.Random("train")
lines = [puzzles.line(*puzzles.generate(rng)) for _ in range(5000)]
(work / "train.txt").write_text("\n".join(lines) + "\n")

# 2. Training; stop it and start it again as you like. `--device cuda --hidden 256 --layers 8` where there is a GPU.
sizes = ["--canvases", "48", "--rows", "4", "--steps", steps]
net = train.train(train.arguments(["--puzzles", str(work / "train.txt"), "--out", str(work / "run"), *sizes]))

# 3. A checkpoint as any DiffusionGemma loader reads it. Everything about Sudoku is in its config.json and tokenizer.json.
export.write(export.load(work / "run" / "checkpoint.pt"), work / "solver")

# 4. A puzzle it has never seen, in a file such as you would type it.
puzzle, solution = puzzles.generate(random.Random("held out"), givens=36)
(work / "puzzle.txt").write_text(text(puzzle))

# 5. Every dot is a hole. On a terminal the cells settle before your eyes; `-i` would write the file.
subprocess.run(["lacuna", "fill", str(work / "puzzle.txt"), "--all=.", "--model", str(work / "solver")], check=True)
print("the solution is\n" + text(solution))
