from pathlib import Path
def write_scorecard(runs, path: Path) -> None:
    path.write_text("")
