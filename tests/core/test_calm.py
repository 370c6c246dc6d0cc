import os
import subprocess
import sys
from pathlib import Path

import pytest

from vaelib import calm

HOME = Path(__file__).parents[2]
QUIET = {"GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"}


def python(script, **settings):
    """What a fresh Python prints, without settings of the surroundings."""
    environment = {name: value for name, value in os.environ.items() if name not in QUIET}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment | settings | {"PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


class TestWaiting:
    def test_importing_the_package_sets_it_before_torch_is_there(self):
        script = """
            import sys, vaelib, os
            print("torch" in sys.modules, os.environ["GOMP_SPINCOUNT"], os.environ["KMP_BLOCKTIME"])
        """
        assert python(script.replace("            ", "")) == ["False", "1000", "0"]

    @pytest.mark.parametrize(
        "own", [{"GOMP_SPINCOUNT": "7"}, {"KMP_BLOCKTIME": "1"}, {"OMP_WAIT_POLICY": "active"}]
    )
    def test_what_the_user_has_set_wins(self, own):
        environment = dict(own)
        calm.wait_calmly(environment)
        assert environment == own

    def test_gnus_runtime_takes_the_value(self):
        """As it says itself, of a torch that is imported after vaelib."""
        script = "import vaelib, torch, pathlib; print('libgomp' in pathlib.Path('/proc/self/maps')"
        script += ".read_text())" if sys.platform == "linux" else ".name)"
        if python(script) != ["True"]:
            pytest.skip("this torch does not use GNU's runtime")
        done = subprocess.run(
            [sys.executable, "-c", "import vaelib, torch"],
            env=os.environ | {"OMP_DISPLAY_ENV": "verbose", "PYTHONPATH": str(HOME)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "GOMP_SPINCOUNT = '1000'" in done.stderr

    def test_the_numbers_of_a_run_do_not_depend_on_it(self):
        script = """
            from vaelib import training, vae
            from vaelib.data.files import digest
            import torch
            generator = torch.Generator().manual_seed(0)
            images = torch.randint(0, 256, (400, 784), generator=generator).to(torch.uint8)
            model = vae.dense(generator=generator)
            training.train(model, images, epochs=2, generator=generator)
            print(torch.get_num_threads(), digest(model.state_dict()))
        """.replace("            ", "")
        found = [
            python(script, OMP_NUM_THREADS="2", **waiting)
            for waiting in ({}, {"GOMP_SPINCOUNT": "300000"}, {"OMP_WAIT_POLICY": "passive"})
        ]
        assert found[0][0] == "2"
        assert found[0] == found[1] == found[2]


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


GROUPS = "sys/fs/cgroup"
CASES = {
    "none": ({}, float("inf")),
    "2, of the container": (
        {"proc/self/cgroup": "0::/\n", f"{GROUPS}/cpu.max": "60000 100000\n"},
        0.6,
    ),
    "2, no limit": (
        {"proc/self/cgroup": "0::/\n", f"{GROUPS}/cpu.max": "max 100000\n"},
        float("inf"),
    ),
    "2, of the group around": (
        {
            "proc/self/cgroup": "0::/user.slice/hub/me\n",
            f"{GROUPS}/user.slice/cpu.max": "max 100000\n",
            f"{GROUPS}/user.slice/hub/cpu.max": "150000 100000\n",
            f"{GROUPS}/user.slice/hub/me/cpu.max": "400000 100000\n",
        },
        1.5,
    ),
    "2, a path of the host's": (
        {"proc/self/cgroup": "0::/docker/abc\n", f"{GROUPS}/cpu.max": "50000 100000\n"},
        0.5,
    ),
    "1": (
        {
            "proc/self/cgroup": "5:memory:/a\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n",
            f"{GROUPS}/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000\n",
            f"{GROUPS}/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        },
        2.5,
    ),
    "1, linked by its short name": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/\n",
            f"{GROUPS}/cpu/cpu.cfs_quota_us": "30000\n",
            f"{GROUPS}/cpu/cpu.cfs_period_us": "50000\n",
        },
        0.6,
    ),
    "1, no limit": (
        {
            "proc/self/cgroup": "4:cpu:/\n0::/\n",
            f"{GROUPS}/cpu/cpu.cfs_quota_us": "-1\n",
            f"{GROUPS}/cpu/cpu.cfs_period_us": "100000\n",
        },
        float("inf"),
    ),
    "1, of the set of cpus": (
        {"proc/self/cgroup": "3:cpuset:/a\n", f"{GROUPS}/cpuset/a/cpu.max": "1 100000\n"},
        float("inf"),
    ),
}


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": ""},
        {"proc/self/cgroup": "nonsense\n"},
        {"proc/self/cgroup": "0::/\n", f"{GROUPS}/cpu.max": "50000 0\n"},
        {"proc/self/cgroup": "0::/\n", f"{GROUPS}/cpu.max": "50000 often\n"},
        {"proc/self/cgroup": "0::/\n", f"{GROUPS}/cpu.max": "50000\n"},
    ],
)
def test_what_cannot_be_read_is_no_limit(files, tmp_path):
    assert calm.quota(write(tmp_path, files)) == float("inf")


class TestQuota:
    @pytest.mark.parametrize("name", CASES)
    def test_it_is_the_least_of_the_groups(self, name, tmp_path):
        files, expected = CASES[name]
        assert calm.quota(write(tmp_path, files)) == expected

    @pytest.mark.parametrize(("quota", "expected"), [(0.6, 1), (1.0, 1), (1.2, 2), (99.0, None)])
    def test_threads_are_rounded_up_and_no_more_than_there_are_cores(
        self, quota, expected, monkeypatch
    ):
        monkeypatch.setattr(calm, "quota", lambda: quota)
        usable = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        )
        assert calm.cores() == min(usable, expected or usable)

    def test_pytorch_gets_as_many_threads(self):
        script = """
            from vaelib import calm
            calm.quota = lambda: 0.6
            import torch
            torch.set_num_threads(2)
            from vaelib import training
            print(torch.get_num_threads())
        """.replace("            ", "")
        assert python(script) == ["1"]
        assert python(script, OMP_NUM_THREADS="2") == ["2"], "what the user has set wins"

    def test_a_real_quota_is_seen(self):
        """Where the tests may make a group of the kernel's first version or second."""
        limits = (
            (Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us", "60000"),
            (Path("/sys/fs/cgroup"), "cpu.max", "60000 100000"),
        )
        for mount, limit, value in limits:
            group = mount / f"vaelib-test-{os.getpid()}"
            try:
                group.mkdir()
            except OSError:
                continue
            try:
                (group / limit).write_text(value)
                enter = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0'); "
                assert python(enter + "from vaelib import calm; print(calm.quota())") == ["0.6"]
            except OSError:
                continue
            finally:
                group.rmdir()
            return
        pytest.skip("no control group can be made here; the cases above stand for it")
