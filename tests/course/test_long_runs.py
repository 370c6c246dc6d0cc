"""Training in a kernel, and evaluation in a process of its own: what takes seconds to start."""

import subprocess
import sys
import textwrap

from jupyter_client.manager import start_new_kernel


def test_the_stop_button_of_a_notebook():
    """A kernel, interrupted as JupyterLab does it: the cell ends well, the next one goes on."""
    script = """
        import torch
        from vaelib import training, vae
        generator = torch.Generator().manual_seed(0)
        model = vae.dense(hidden=20, generator=generator)
        images = torch.zeros(6000, 784, dtype=torch.uint8)
        history = training.train(model, images, epochs=10**6, generator=generator,
            watch=lambda at: print("begun", flush=True) if at.step == 5 else None)
    """
    said = []

    def listen(message):
        said.append(message["content"].get("text", ""))
        if said[-1].startswith("begun"):
            manager.interrupt_kernel()

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        given = {"timeout": 120, "output_hook": listen}
        reply = client.execute_interactive(textwrap.dedent(script), **given)
        assert reply["content"]["status"] == "ok"
        assert any("resume=history" in text for text in said)
        check = "print(model.trained_steps == int(history.state.tensors['step']) >= 5)"
        client.execute_interactive(check, **given)
        assert "True\n" in said
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


DRAW = """
import torch
from benchmarks.memory import peak
from vaelib import evaluation, vae
model = vae.dense(hidden=20, generator=torch.Generator().manual_seed(0))
image = (torch.rand(100, 784, generator=torch.Generator().manual_seed(1)) < 0.1).float()
evaluation.draw_log_weights(model, image, samples=20, generator=torch.Generator())
before = peak()
evaluation.draw_log_weights(model, image, samples=10_000, generator=torch.Generator())
print(peak() - before)
"""


def test_drawing_a_million_weights_takes_little_more_than_they_do():
    """In a process of its own, by the most memory that it ever held."""
    done = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 50  # MB; the weights themselves are 4
