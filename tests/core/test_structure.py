"""The house: imports run one way, in the order that CONTRIBUTING states; the core stays small."""

import ast
import inspect
import io
import re
import tokenize
from pathlib import Path

from vaelib import training

HOME = Path(__file__).parents[2]
FILES = {
    ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (HOME / "vaelib").rglob("*.py")
}


def imports_of(path):
    """The modules of the package that a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else node.module for name in whole}
    return found & FILES.keys() - {"vaelib"}


def stated_order():
    """Layers of modules, lowest first, as CONTRIBUTING has them in its block."""
    text = (HOME / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```text\n(calm\n.*?)```", text, re.DOTALL)
    return [[f"vaelib.{name}" for name in line.split()] for line in block.splitlines()]


def layer_of(module, layers):
    """The layer that names a module, or else the package that it is in."""
    while module:
        for number, names in enumerate(layers):
            if module in names:
                return number
        module = module.rpartition(".")[0]
    return None


def wrong_way(graph, layers):
    """The imports that do not go down, to a lower layer or within one package of a layer."""
    return [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in others
        if layer_of(other, layers) >= layer_of(module, layers)
        and not any(
            module.startswith(name) and other.startswith(name)
            for name in layers[layer_of(module, layers)]
        )
    ]


def circles(graph):
    """Modules that can be reached from themselves."""
    reach = {module: set(others) for module, others in graph.items()}
    for middle in graph:
        for others in reach.values():
            if middle in others:
                others |= reach[middle]
    return sorted(module for module, others in reach.items() if module in others)


GRAPH = {name: imports_of(path) for name, path in FILES.items() if name != "vaelib"}


def test_imports_run_one_way_in_the_stated_order():
    layers = stated_order()
    assert [name for name in GRAPH if layer_of(name, layers) is None] == []
    assert wrong_way(GRAPH, layers) == []
    assert circles(GRAPH) == []


def test_a_circle_and_a_wrong_way_are_found():
    layers = [["vaelib.low"], ["vaelib.kit"], ["vaelib.high"]]
    graph = {"vaelib.low": {"vaelib.high"}, "vaelib.high": {"vaelib.low"}, "vaelib.kit": set()}
    assert circles(graph) == ["vaelib.high", "vaelib.low"]
    assert wrong_way(graph, layers) == ["vaelib.low imports vaelib.high"]


NOT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
WITH_DOCSTRINGS = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef


def code_lines(text):
    """How many lines have code: all but docstrings, comments and blank lines."""
    found = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOT_CODE and token.string:
            found |= {*range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, WITH_DOCSTRINGS) and ast.get_docstring(node) is not None:
            found -= {*range(node.body[0].lineno, node.body[0].end_lineno + 1)}
    return len(found)


def test_only_lines_of_code_are_counted():
    text = '''"""A docstring of the module,

in three lines."""

# a comment
@decorated  # 1
class Some:  # 2
    """A docstring."""

    async def some(self):  # 3
        """A docstring
        in two lines."""
        # a comment
        text = """a string that is
no docstring"""  # 5, with the line before
        "neither is this"  # 6
        return (  # 7
            text,  # 8

            # a comment
        )  # 9
'''
    assert code_lines(text) == 9


TWINS = {"adam": 60, "quick": 60, "fused": 95}  # of what one knows; with their most lines
# What one reads when one comes to its notebook, or to a second device.
LATER = (
    *("latent", "ans", "exact", "compression", "archive", "hierarchy", "sharpness", "objectives"),
    *("processes", "distributed"),
)


def test_the_core_reads_in_an_evening():
    core = {
        name.removeprefix("vaelib."): code_lines(path.read_text(encoding="utf-8"))
        for name, path in FILES.items()
        if not re.match(r"vaelib\.(data|course)", name)
    }
    later, twins = [core.pop(name) for name in LATER], {name: core.pop(name) for name in TWINS}
    assert sum(core.values()) <= 1370
    assert max(later) <= 170
    assert [name for name, lines in twins.items() if lines > TWINS[name]] == []


def test_the_loop_is_as_short_as_the_lessons():
    (loop,) = (
        node
        for node in ast.walk(ast.parse(inspect.getsource(training.train)))
        if isinstance(node, ast.While)
    )
    assert loop.end_lineno - loop.lineno < 30
    assert len(inspect.signature(training.train).parameters) <= 12
