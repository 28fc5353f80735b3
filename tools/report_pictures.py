"""Pictures of a report in a browser, and how long it takes to open.

    python tools/report_pictures.py hybrid/report.html docs/pictures/report-digits

writes NAME-1280.png, NAME-360.png and NAME-1280-dark.png, each small enough for a page, and prints milliseconds from
navigation until all charts are drawn.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "stitchc"))
from browser import Browser, browser

#: Width, whether dark, and the pixels from the top that are kept.
_VIEWS = ((1280, False, 2950), (360, False, 3400), (1280, True, 1900))
_COLOURS = 64
_OPENED = 7  # times


def main(report: Path, name: str) -> None:
    """Writes the pictures, and prints what was measured."""
    with browser() as tab:
        times = sorted(tab.open(report) for _ in range(_OPENED))
        print(f"{report.stat().st_size / 1e6:.2f} MB, opened in {times[0]:.0f} to {times[-1]:.0f} ms, "
              f"median {times[_OPENED // 2]:.0f} ms")  # fmt: skip
        for width, dark, height in _VIEWS:
            path = Path(f"{name}-{width}{'-dark' if dark else ''}.png")
            _shot(tab, report, width, dark, height).save(path, optimize=True)
            print(f"{path}: {path.stat().st_size // 1000} kB")


def _shot(tab: Browser, report: Path, width: int, dark: bool, height: int) -> Image.Image:
    tab.open(report, width, dark=dark)
    with tempfile.TemporaryDirectory() as folder:
        tab.picture(Path(folder) / "whole.png")
        whole = Image.open(Path(folder) / "whole.png").convert("RGB")
    image = whole.crop((0, 0, width, min(height, whole.height)))
    if width < 600:  # a phone's column is cut in two, side by side
        half = image.height // 2
        both = Image.new("RGB", (2 * width + 20, half), "white")
        both.paste(image.crop((0, 0, width, half)), (0, 0))
        both.paste(image.crop((0, half, width, 2 * half)), (width + 20, 0))
        image = both
    return image.quantize(_COLOURS, dither=Image.Dither.NONE)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2])
