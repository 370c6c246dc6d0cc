"""A machine with little of the usual: no home folder, no name for the user, a read-only cache.

The package is used by a process that is a user unknown to the system. It cannot be started as
one, because the Python that runs the tests may lie in a folder of root's; so it imports all that
it needs and then becomes that user. Where the tests are not run by root, the process keeps its
user, the list of users is hidden from it, and folders are closed to it by their modes.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from vaelib.data import glyphs
from vaelib.data.catalogue import GLYPHS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such user ids")

HOME = Path(__file__).parents[2]
ROOT = sys.platform != "win32" and os.getuid() == 0
STRANGER = 54321 if ROOT else os.getuid() if sys.platform != "win32" else 0
PRELUDE = f"""
import contextlib, io, json, os, pwd, stat, sys
import matplotlib.backends.backend_agg, torchvision
from vaelib import __main__
from vaelib.course import demonstration
from vaelib.data import command, glyphs, load, loading, store

def unknown(user):
    raise KeyError(user)

glyphs.draw_splits(dict(train=1))
if {ROOT}:
    os.setgroups([])
    os.setgid({STRANGER})
    os.setuid({STRANGER})
    try:
        pwd.getpwuid({STRANGER})
        raise SystemExit("the user is known")
    except KeyError:
        pass
else:
    pwd.getpwuid = unknown
os.chdir("/")
glyphs.COUNTS = dict(train=4, test=2)
for variable in ("HOME", "XDG_CACHE_HOME"):
    os.environ.pop(variable, None)

def said_by(do):
    '''What a call returns or raises, and says, in a process that has said nothing yet.'''
    store._say_once.cache_clear()
    glyphs._drawn_in_memory.cache_clear()
    loading._stand_in = False
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            result = do()
        except Exception as problem:
            result = f"{{type(problem).__name__}}: {{problem}}"
    return dict(result=result, out=out.getvalue(), error=error.getvalue())
"""


def as_stranger(code, temporary, **environment):
    """What the code, which defines `result`, found out as that user."""
    cleared = {name: "" for name in os.environ if name.startswith("VAELIB_")}
    settings = {"TMPDIR": str(temporary), "VAELIB_OFFLINE": "1", "MPLCONFIGDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", f"{PRELUDE}\n{code}\nprint(json.dumps(result))"],
        env=os.environ | cleared | settings | environment,
        cwd=HOME,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def temporary():
    """A temporary folder of the system's, which everyone may write into; pytest's is root's."""
    folder = Path(tempfile.mkdtemp()).resolve()
    folder.chmod(0o1777)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)


def closed(folder, mode):
    """A folder that the stranger cannot write into: root's, or of a mode without writing."""
    folder.mkdir(parents=True)
    folder.chmod(mode if ROOT else mode & 0o555)
    return folder


def few_glyphs(folder, value=7):
    """Write recognisable glyphs into a cache folder."""
    drawn = {
        split: glyphs.Labelled(
            torch.full((3, 784), value, dtype=torch.uint8), torch.zeros(3, dtype=torch.uint8)
        )
        for split in ("train", "test")
    }
    (folder / GLYPHS.place).parent.mkdir(parents=True)
    glyphs.write_glyphs(drawn, folder / GLYPHS.place)


def test_without_a_home_that_can_be_written_data_are_kept_in_a_folder_of_ones_own(temporary):
    homes = {
        "none": None,
        "empty": "",
        "read-only": str(closed(temporary / "read-only", 0o755)),
        "closed": str(closed(temporary / "closed", 0o700 if ROOT else 0)),
        "nonexistent": "/nonexistent/home",
        "no folder": "/dev/null",
    }
    found = as_stranger(
        f"""
import shutil
result = {{}}
for name, home in {homes!r}.items():
    os.environ.pop("HOME", None)
    if home is not None:
        os.environ["HOME"] = home
    first = said_by(lambda: [len(load("glyphs", split).labels) for split in ("train", "test")])
    again = said_by(lambda: len(load("glyphs").labels))
    where = said_by(lambda: __main__.main(["data", "where", "glyphs"]))
    model = str(demonstration.model_file("mnist"))
    folder = store.cache_folder().lstat()
    result[name] = dict(first=first, again=again, where=where, model=model,
                        mode=stat.S_IMODE(folder.st_mode), owner=folder.st_uid)
    shutil.rmtree(store.cache_folder())
""",
        temporary,
    )
    folder = temporary / f"vaelib-{STRANGER}"
    assert list(found) == list(homes)
    for name, seen in found.items():
        assert seen["first"]["result"] == [4, 2], name
        said = seen["first"]["error"]
        assert said.count(f"so data are kept in {folder} until the system clears it") == 1
        assert said.count("Drawing glyphs") == 1
        assert "set VAELIB_DATA to a folder of yours" in said
        assert ("There is no home folder" in said) == (name == "none")
        assert seen["again"]["result"] == 4
        assert "Drawing" not in seen["again"]["error"], "they were kept"
        assert (seen["mode"], seen["owner"]) == (0o700, STRANGER)
        assert seen["where"]["out"] == f"glyphs         {folder}\n"
        assert Path(seen["model"]).is_relative_to(folder)


def test_a_folder_in_which_others_could_plant_files_is_never_read(temporary):
    """Glyphs that another user planted, in each way that there is, do not come."""
    places = {}
    for name in ("another's", "a link", "open", "a file"):
        places[name] = temporary / name / f"vaelib-{STRANGER}"
        places[name].parent.mkdir()
    few_glyphs(places["another's"], 66)
    few_glyphs(temporary / "theirs", 66)
    few_glyphs(places["open"], 66)
    places["a link"].symlink_to(temporary / "theirs")
    places["a file"].touch()
    for path in (*temporary.rglob("*"), temporary):
        if not path.is_symlink():
            path.chmod(0o777)
    if ROOT:
        os.chown(places["open"], STRANGER, STRANGER)
        os.lchown(places["a link"], STRANGER, STRANGER)
    found = as_stranger(
        f"""
import tempfile
result = {{}}
for name, place in { ({name: str(place) for name, place in places.items()})!r}.items():
    tempfile.tempdir = os.path.dirname(place)
    if name == "another's" and not {ROOT}:
        os.rename(place, place := f"{{place[:-len(str({STRANGER}))]}}{{{STRANGER} + 1}}")
        os.geteuid = lambda: {STRANGER} + 1
    else:
        os.geteuid = os.getuid
    result[name] = dict(
        glyphs=said_by(lambda: load("glyphs").images[0].tolist()),
        prefetch=said_by(lambda: __main__.main(["data", "prefetch", "glyphs"])),
        default=said_by(lambda: [load().name, load(split="test").name]),
        places=[str(path) for path in store.places()],
    )
""",
        temporary,
    )
    reasons = {
        "another's": "belongs to another user",
        "a link": "is not a folder",
        "open": "is open to other users; delete it",
        "a file": "is not a folder",
    }
    for name, reason in reasons.items():
        seen = found[name]
        assert len(seen["glyphs"]["result"]) == 784
        assert set(seen["glyphs"]["result"]) != {66}
        assert f"{reason}). No data are kept." in seen["glyphs"]["error"]
        assert seen["glyphs"]["error"].count("There is no home folder, and no temporary") == 1
        assert seen["prefetch"]["result"] == 1
        assert "cannot be written" in seen["prefetch"]["out"]
        assert seen["default"]["result"] == ["glyphs", "glyphs"]
        assert not any(place.startswith(str(temporary)) for place in seen["places"])


def test_a_cache_is_used_without_a_word_and_still_read_where_it_is_read_only(temporary):
    home = temporary / "home"
    few_glyphs(home / ".cache" / "vaelib", 7)
    damaged = temporary / "damaged"
    few_glyphs(damaged / ".cache" / "vaelib", 8)
    os.truncate(damaged / ".cache" / "vaelib" / GLYPHS.place, 999)
    for path in (*home.rglob("*"), home, *damaged.rglob("*"), damaged):
        path.chmod(0o555 if path.is_dir() else 0o444)
    found = as_stranger(
        f"""
os.environ["VAELIB_DATA"] = {str(home / ".cache" / "vaelib")!r}
homeless = said_by(lambda: load("glyphs").images.unique().tolist())
homeless["made"] = os.path.exists({str(temporary / f"vaelib-{STRANGER}")!r})
os.environ["HOME"] = {str(temporary / "ordinary")!r}
del os.environ["VAELIB_DATA"]
os.mkdir(os.environ["HOME"])
ordinary = said_by(lambda: [len(load("glyphs").labels), str(store.cache_folder())])
os.environ["HOME"] = {str(home)!r}
os.environ["VAELIB_DATA"] = {str(closed(temporary / "closed", 0o700 if ROOT else 0) / "data")!r}
closed = said_by(lambda: load("glyphs").images.unique().tolist())
del os.environ["VAELIB_DATA"]
result = dict(
    ordinary=ordinary,
    closed=closed,
    homeless=homeless,
    load=said_by(lambda: load("glyphs").images.unique().tolist()),
    where=said_by(lambda: __main__.main(["data", "where", "glyphs", "mnist"])),
    verify=said_by(lambda: __main__.main(["data", "verify", "glyphs"])),
    prefetch=said_by(lambda: __main__.main(["data", "prefetch", "glyphs"])),
    mnist=said_by(lambda: load("mnist")),
)
os.environ["HOME"] = {str(damaged)!r}
result["damaged"] = said_by(lambda: load("glyphs").images.unique().tolist())
""",
        temporary,
    )
    cache, other = home / ".cache" / "vaelib", temporary / f"vaelib-{STRANGER}"
    quiet = {"result": [7], "out": "", "error": "", "made": False}
    assert found["homeless"] == quiet, "VAELIB_DATA has the data, so no cache is needed"
    assert found["ordinary"] == {
        "result": [4, str(temporary / "ordinary" / ".cache" / "vaelib")],
        "out": "",
        "error": "Drawing glyphs, once (some ten seconds) …\n",
    }
    assert found["closed"]["result"] == [7], "a closed folder of VAELIB_DATA is passed over"
    assert found["load"]["result"] == [7]
    assert "Drawing" not in found["load"]["error"]
    assert found["where"]["out"] == (
        f"glyphs         {cache}\nmnist          missing, would go to {other}\n"
    )
    assert found["verify"]["out"] == f"ok    {cache / GLYPHS.place}\n"
    assert found["prefetch"]["out"] == (
        f"copied {cache / GLYPHS.place}\nok    {other / GLYPHS.place}\n"
    )
    assert found["damaged"]["result"] == [7], "the copy in the temporary folder"
    assert (
        f"{damaged / '.cache' / 'vaelib' / GLYPHS.place} cannot be read"
        in (found["damaged"]["error"])
    )
    assert "Drawing glyphs" not in found["damaged"]["error"]
    assert f"looked for in {cache}" in found["mnist"]["result"]
    assert f"{other / 'MNIST'}" in found["mnist"]["result"]


def test_the_temporary_folder_is_closed_to_others(tmp_path, monkeypatch):
    from vaelib.data import store

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = store.temporary_cache()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o750)
    with pytest.raises(PermissionError, match="open to other users"):
        store.temporary_cache()
