"""What a release consists of: metadata in today's form, and an sdist that is the whole course."""

import email
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
import yaml
from installed import HOME, wheel  # noqa: F401  (a fixture)

BUILD = """
import sys
from setuptools import build_meta
print(build_meta.build_sdist(sys.argv[1]))
"""


def metadata(text):
    return email.message_from_string(text)


def test_the_wheels_metadata_have_licence_author_and_kinds(wheel):  # noqa: F811
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        found = metadata(archive.read(name).decode())
        assert any(n.endswith("/licenses/LICENSE") for n in archive.namelist())
    assert found["License-Expression"] == "MIT"
    assert found["License-File"] == "LICENSE"
    (author,) = yaml.safe_load((HOME / "CITATION.cff").read_text())["authors"]
    assert found["Author"] == author["name"]
    kinds = found.get_all("Classifier")
    assert "Programming Language :: Python :: 3.14" in kinds
    assert not [kind for kind in kinds if kind.startswith("License ::")], "in License-Expression"
    assert found["Description-Content-Type"] == "text/markdown"
    assert "# The variational autoencoder" in found.get_payload()
    assert "](docs/" not in found.get_payload()


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist of what git has here, built from a copy."""
    if not (HOME / ".git").exists() or not shutil.which("git"):
        pytest.skip("an sdist is compared with what git has, and this is no checkout")
    folder = tmp_path_factory.mktemp("sdist")
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HOME, capture_output=True, check=True)
    names = [name for name in listed.stdout.decode().split("\0") if (HOME / name).is_file()]
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOME / name, source / name)
    command = [sys.executable, "-c", BUILD, str(folder)]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.tar.gz")
    return path, set(names)


def test_the_sdist_is_the_whole_course_with_its_tests(sdist):
    path, names = sdist
    with tarfile.open(path) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    assert names - there == set()
    assert "tests/core/test_elbo.py" in there
    assert path.stat().st_size < 20e6
    assert not [name for name in there if name.startswith("build/") or name.endswith(".pyc")]
