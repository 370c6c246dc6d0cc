import json
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork and no SIGKILL")
def test_200_kills_during_saving_leave_the_old_or_the_new_file_whole():
    command = [sys.executable, "-m", "benchmarks.kill_during_save", "--times", "200"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["kills"] == 200
    assert result["old"] + result["new"] == 200
    assert min(result["old"], result["new"], result["while_writing"]) > 10
