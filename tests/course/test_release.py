"""A tag becomes a release only if version, changelog and address agree."""

import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tools"))

import release  # noqa: E402

LOG = """# Changelog

## 0.2.0 (2026-01-31)

- New.
- Newer.

## 0.1.0 (not yet released)

- Old.
"""
HERE = "https://github.com/someone/it"


def test_the_notes_are_the_versions_own_section():
    assert release.notes(LOG, "0.2.0") == "- New.\n- Newer.\n"


def test_a_version_without_section_or_date_is_not_released():
    with pytest.raises(ValueError, match="no section"):
        release.notes(LOG, "0.3.0")
    with pytest.raises(ValueError, match="has no date"):
        release.notes(LOG, "0.1.0")


def test_tag_and_address_must_be_those_that_are_written():
    assert release.problems("v0.2.0", HERE, "0.2.0", HERE) == []
    (tag,) = release.problems("v0.2.1", HERE, "0.2.0", HERE)
    assert "v0.2.1" in tag
    (address,) = release.problems("v0.2.0", HERE, "0.2.0", "")
    assert "tools/address.py" in address


def test_the_command_names_all_that_is_wrong(capsys):
    assert release.main(["v99", "https://github.com/no/where"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "No release was made." in said.err
    assert "v99" in said.err
    assert "no/where" in said.err
