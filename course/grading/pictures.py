"""The picture of a class report in the README: `python -m course.grading.pictures [DIR]`.

Opens the report of a class (by default a demo played for it) in a headless browser, laid out in two columns and without
the parts that name students, and writes course/figures/report.png.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from course import paths, picture_sources
from course.errors import CourseError
from course.grading.classroom import Classroom
from course.grading.store import write_atomically

TARGET = paths.ROOT / "course" / "figures" / "report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT = 1800, 1440  # pixels
COLOURS = 255
LAYOUT = """<style>
main { max-width: none; columns: 2; column-gap: 2.2rem; padding-bottom: 0; }
nav, .find, [data-part=human], [data-part=alike], [data-part=students], footer { display: none; }
[data-part=tests] tbody tr:nth-child(n + 5), [data-part=mistakes] tbody tr:nth-child(n + 4) { display: none; }
td.long, td.names { min-width: 0; } th, td { padding-left: .35rem; padding-right: .35rem; }
[data-part=tests] { break-before: column; }
</style></head>"""


def screenshot(page: Path, width: int, height: int) -> bytes:
    """A page as a browser shows it.

    Raises
    ------
    CourseError : there is no browser, or it made no picture
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise CourseError(f"no browser found (looked for {', '.join(BROWSERS)}); install chromium")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "page.png")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb")
        size = (f"--window-size={width},{height}", f"--screenshot={picture}", f"--user-data-dir={folder}/profile")
        subprocess.run([browser, *options, *size, page.as_uri()], capture_output=True, timeout=120, check=False)
        if not picture.is_file():
            raise CourseError(f"{browser} made no picture of {page}")
        return picture.read_bytes()


def laid_out(html: str) -> str:
    """The page in two columns; its policy allows no style but its own, so that of the copy is taken out."""
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html, count=1)
    return free.replace("</head>", LAYOUT, 1)


def in_few_colours(picture: bytes) -> bytes:
    """The picture as a small file."""
    from PIL import Image

    stream = io.BytesIO()
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def main(arguments: list[str]) -> int:
    """Make the picture."""
    from course.grading.demo import play
    from course.grading.habits import UNIT

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(arguments[0]) if arguments else Path(scratch, "class")
        if not arguments and play(folder):
            raise CourseError("the demo did not end as expected; no picture was made")
        report = Classroom.open(folder).unit_report(UNIT)
        if not report.is_file():
            raise CourseError(f"{report} is missing; make it with: course report {folder}")
        page = Path(scratch, "page.html")
        page.write_text(laid_out(report.read_text(encoding="utf-8")), encoding="utf-8")
        write_atomically(TARGET, in_few_colours(screenshot(page, WIDTH, HEIGHT)))
    picture_sources.record(TARGET.name)
    print(f"{TARGET}  ({TARGET.stat().st_size / 1000:.0f} kB)")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CourseError as error:
        sys.exit(f"course: {error}")
