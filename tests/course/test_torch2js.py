"""The translation to JavaScript: every entry of its tables and random programs, compared with torch in Node."""
import json
import math
import operator
import os
import random
import shutil
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.ops import aten

from asl_explainer.course import torch2js
from asl_explainer.course.curves import label_curve, loss_and_gradient
from asl_explainer.course.torch2js import _COMPARISONS, _ELEMENTWISE, _RULES, to_javascript, trace
from asl_explainer.equation import single_label_reference

F64, I64, BOOL = torch.float64, torch.int64, torch.bool
NAN, INF = math.nan, math.inf
SERVER = """
const each = (row, change) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, change(value)]));
const input = (value) => Array.isArray(value) ? Float64Array.from(value) : value;
const output = (value) => typeof value == "object" ? Array.from(value, String) : String(value);
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  let answer;
  try {
    const { code, rows } = eval(`(${line})`);
    const program = eval(code);
    answer = rows.map((row) => each(program(each(row, input)), output));
  } catch (error) {
    answer = error.stack;
  }
  console.log(JSON.stringify(answer));
});
"""


@pytest.fixture(scope="module")
def node():
    "A function that computes a program in Node for rows of inputs; one process serves all tests."
    if shutil.which("node") is None:
        pytest.fail("node is not installed") if os.environ.get("CI") else pytest.skip("node is not installed")
    with subprocess.Popen(["node", "-e", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def compute(code, rows):
            flat = [{name: value.flatten().tolist() if value.dim() else value.item() for name, value in row.items()} for row in rows]
            process.stdin.write(json.dumps({"code": code, "rows": flat}) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert isinstance(answer, list), f"{answer}\n{code}"
            return answer

        yield compute
        process.stdin.close()


def f64(*values):
    return torch.tensor(values, dtype=F64)


def assert_same(node, function, *rows, rtol=1e-9, atol=1e-9):
    "A function and its translation give the same shapes and numbers, NaN and infinities included."
    rows = [{name: torch.as_tensor(value, dtype=F64) for name, value in row.items()} for row in rows]
    code = to_javascript(function, rows[0])
    for row, computed in zip(rows, node(code, rows)):
        exact = function(**row)
        assert list(computed) == list(exact)
        for name, value in exact.items():
            assert isinstance(computed[name], list) == (value.dim() > 0)
            found = torch.tensor([float(number) for number in computed[name]] if value.dim() else float(computed[name]), dtype=F64)
            message = lambda text: f"{name} of {row}: {text}\n{code}"  # noqa: E731
            torch.testing.assert_close(found, value.double().flatten() if value.dim() else value.double(), rtol=rtol, atol=atol, equal_nan=True, msg=message)


# --- Every entry of the tables, and random programs of them ---

# These jump: they are applied only to numbers that are the same, to the last bit, in both languages.
JUMPS = """_to_copy all any argmax argmin bitwise ceil floor fmod isinf isnan logical pow remainder round scatter_add
    sgn sign take threshold_backward trunc""".split()
# These results are not the same to the last bit.
INEXACT = """atan cos cosh cumsum exp exp2 expm1 log log10 log1p log2 mean mm pow rsqrt scatter_add sigmoid sin sinh sum
    tan tanh""".split()
NUMBERS = {F64: [-2.5, -1.5, -1, -0.5, 0.25, 0.5, 1, 2, 2.5, 3], I64: [-3, -2, -1, 1, 2, 3, 5], BOOL: [0, 1]}
SPECIAL = [0, NAN, INF, -INF]
SHAPES = [(), (3,), (2, 3), (2, 1, 3)]
# Operations on several tensors that fit together.
SEVERAL = {
    aten.cat.default: lambda x: aten.cat.default([x, 2 * x, x[:1]]),
    aten.mm.default: lambda x: aten.mm.default(x, x.T),
    aten.scatter_add.default: lambda x: aten.scatter_add.default(x, 0, (x.abs() % 3).floor().long(), x + 1),
    aten.take.default: lambda x: aten.take.default(x, x.flatten()[:2].argmax() - 1),
}


def option(argument, x, choose):
    "A random argument that is not a tensor, for a tensor."
    kind, name, dims = str(argument.type), argument.name, range(-max(x.dim(), 1), max(x.dim(), 1))
    if kind == "number":
        return choose(NUMBERS[x.dtype])
    if name in ("dim", "dim0", "dim1", "dim2", "dims"):
        several = [dim for dim in range(x.dim()) if choose([False, True])]
        value = sorted(several, key=lambda _: choose(range(9))) if "List" in kind else choose(dims)
        return choose([None, value]) if "Optional" in kind else value
    choices = {"keepdim": [False, True], "step": [1, 2], "size": [[-1], list(x.shape), [2, *x.shape], [*x.shape, 1]]}
    return choose(choices.get(name, [-2, -1, 0, 1, 2] + [None] * ("Optional" in kind)))


class Program:
    "A random program: inputs and steps, with the values of each step for two rows of inputs."

    def __init__(self, choose):
        self.choose, self.steps, self.values, self.exact = choose, [], [], []
        for shape in SHAPES:
            elements = lambda: f64(*(choose(NUMBERS[F64] * 2 + SPECIAL) for _ in range(math.prod(shape))))  # noqa: B023, E731
            self.values.append([elements().reshape(shape) for _ in range(2)])
            self.exact.append(True)
        self.rows = [{f"x{n}": value[row] for n, value in enumerate(self.values)} for row in range(2)]
        for n in range(len(SHAPES)):
            self.add(lambda x: x > 0.3, [n], True)
            self.add(lambda x: torch.where(x.abs() < 9, 2 * x, 1).long(), [n], True)
        self.add(lambda: f64(-1, 0.5, 3), [], True)
        self.add(lambda: torch.tensor([[2, 0, -1]]), [], True)
        self.given = len(self.values)

    def add(self, function, arguments, exact, dtype=None):
        "Add a step, a function of earlier values. Raises an error where its result cannot be compared."
        values = [function(*(self.values[n][row] for n in arguments)) for row in range(2)]
        for value in values:
            size = value.double().abs().nan_to_num(1, 1, 1)
            minus_zero = ((value == 0) & value.double().signbit()).any()  # which of two zeros is larger, torch leaves open
            vanishes = not exact and size.min() < 1e-6  # perhaps not in the other language
            if dtype not in (None, value.dtype) or not 0 < value.numel() <= 40 or size.max() > 1e3 or minus_zero or vanishes:
                raise ValueError("not comparable")
        self.steps.append((function, arguments))
        self.values.append(values)
        self.exact.append(exact)

    def pick(self, dtypes, jumps):
        return self.choose([n for n, (value, _) in enumerate(self.values) if value.dtype in dtypes and (self.exact[n] or not jumps)])

    def grow(self, operation, dtype):
        "Try to add a step of one operation that computes in a dtype, and return whether it succeeded."
        name = operation._opname
        jumps = operation in _COMPARISONS or name.startswith(tuple(JUMPS))
        dtypes = [F64, I64, BOOL] if name.startswith(("logical", "_to_copy", "sum", "any", "all")) else [dtype]
        dtypes = [F64] if name in ("isnan", "isinf") else dtypes
        arguments = [argument for argument in operation._schema.arguments if not argument.kwarg_only and argument.name != "alpha"]
        if operation in SEVERAL:
            arguments = arguments[:1]
        tensors, texts = [], [str(argument.type) for argument in arguments]
        for n, text in enumerate(texts):
            if text.endswith("Tensor]") or text == "Tensor":
                condition = name == "where" and n == 0
                tensors.append(self.pick([BOOL] if condition else dtypes if not tensors else [*dtypes, dtype], jumps))
        x = torch.zeros((), dtype=dtype) if not tensors else self.values[tensors[0]][0]
        plain = [None if "Tensor" in text else (option(argument, x.to(dtype) if text == "number" else x, self.choose),) for argument, text in zip(arguments, texts)]
        options = {"dtype": dtype} if name == "_to_copy" else {}

        def step(*values):
            remaining = iter(values)
            if operation in SEVERAL:
                return SEVERAL[operation](*values)
            return operation(*(next(remaining) if value is None else value[0] for value in plain), **options)

        exact = all(self.exact[n] for n in tensors) and name not in INEXACT
        of_result = None if operation in _COMPARISONS or operation in _RULES else dtype
        try:
            self.add(step, tensors, exact, of_result)
        except (RuntimeError, ValueError, IndexError):
            return False
        return True

    def __call__(self, **inputs):
        values = list(inputs.values())
        for function, arguments in self.steps:
            values.append(function(*(values[n] for n in arguments)))
        used = {n for _, arguments in self.steps for n in arguments}
        return {f"y{n}": value for n, value in enumerate(values) if n >= self.given and (n not in used or n == len(values) - 1)}


ENTRIES = [*_ELEMENTWISE, *((operation, dtype) for operation in _RULES for dtype in (F64, I64, BOOL))]


@pytest.mark.parametrize("operation", dict.fromkeys(operation for operation, _ in ENTRIES), ids=str)
def test_every_entry_of_the_tables_computes_what_torch_does(node, operation):
    for dtype in [dtype for name, dtype in ENTRIES if name is operation]:
        generator = random.Random(str((operation, dtype)))
        program, tries = Program(generator.choice), 0
        while len(program.values) < program.given + 8 and tries < 150:
            tries += 1
            program.grow(operation, dtype)
        assert len(program.values) > program.given + 2 or operation in _RULES and dtype != F64, (operation, dtype)
        assert_same(node, program, *program.rows)


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 20))
@settings(max_examples=40)
def test_random_programs_compute_what_torch_does(node, seed, steps):
    generator = random.Random(seed)
    program = Program(generator.choice)
    for _ in range(steps):
        program.grow(*generator.choice(ENTRIES))
    assert_same(node, program, *program.rows)
