"""The README's pictures show what the course looks like now."""

from __future__ import annotations

import pytest

from course import picture_sources

COMMANDS = {"check.png": "python -m course.authoring.pictures", "report.png": "python -m course.grading.pictures"}


@pytest.mark.parametrize("picture", sorted(picture_sources.SOURCES))
def test_picture_is_made_from_its_sources_as_they_are(picture: str) -> None:
    assert (picture_sources.FIGURES / picture).is_file()
    current = picture_sources.recorded().get(picture) == picture_sources.digest(picture)
    assert current, f"{picture} is out of date; run: {COMMANDS[picture]}"
