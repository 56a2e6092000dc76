"""The translation to JavaScript: every entry of its tables and random programs, compared with torch in Node."""

import json
import math
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
from asl_explainer.course.torch2js import _COMPARISONS, _ELEMENTWISE, _RULES, to_javascript
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
            flat = [
                {name: value.flatten().tolist() if value.dim() else value.item() for name, value in row.items()}
                for row in rows
            ]
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
            found = f64(*map(float, computed[name])) if value.dim() else torch.tensor(float(computed[name]), dtype=F64)
            compared = {"rtol": rtol, "atol": atol, "equal_nan": True}
            message = f"{name} of {row}\n{code}"
            torch.testing.assert_close(
                found, value.double().reshape(found.shape), **compared, msg=lambda text: text + message
            )


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
    aten.scatter_add.default: lambda x: aten.scatter_add.default(x := x.flatten(), 0, (x.abs() % 3).floor().long(), x + 1),
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
            count, numbers = math.prod(shape), NUMBERS[F64] * 2 + SPECIAL
            self.values.append([f64(*(choose(numbers) for _ in range(count))).reshape(shape) for _ in range(2)])
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
            # Which of two zeros is larger, torch leaves open.
            minus_zero = ((value == 0) & value.double().signbit()).any()
            vanishes = not exact and size.min() < 1e-6  # perhaps not in the other language
            if (
                dtype not in (None, value.dtype)
                or not 0 < value.numel() <= 40
                or size.max() > 1e3
                or minus_zero
                or vanishes
            ):
                raise ValueError("not comparable")
        self.steps.append((function, arguments))
        self.values.append(values)
        self.exact.append(exact)

    def pick(self, dtypes, jumps):
        return self.choose(
            [n for n, (value, _) in enumerate(self.values) if value.dtype in dtypes and (self.exact[n] or not jumps)]
        )

    def grow(self, operation, dtype):
        "Try to add a step of one operation that computes in a dtype, and return whether it succeeded."
        name = operation._opname
        jumps = operation in _COMPARISONS or name.startswith(tuple(JUMPS))
        dtypes = [F64, I64, BOOL] if name.startswith(("logical", "_to_copy", "sum", "any", "all")) else [dtype]
        dtypes = [F64] if name in ("isnan", "isinf") else dtypes
        arguments = [
            argument for argument in operation._schema.arguments if not argument.kwarg_only and argument.name != "alpha"
        ]
        if operation in SEVERAL:
            arguments = arguments[:1]
        tensors, texts = [], [str(argument.type) for argument in arguments]
        for n, text in enumerate(texts):
            if text.endswith("Tensor]") or text == "Tensor":
                condition = name == "where" and n == 0
                tensors.append(self.pick([BOOL] if condition else dtypes if not tensors else [*dtypes, dtype], jumps))
        x = torch.zeros((), dtype=dtype) if not tensors else self.values[tensors[0]][0]
        plain = [
            None if "Tensor" in text else (option(argument, x.to(dtype) if text == "number" else x, self.choose),)
            for argument, text in zip(arguments, texts)
        ]
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
        values = dict(enumerate(inputs.values()))

        def value(n):
            if n not in values:
                function, arguments = self.steps[n - len(inputs)]
                values[n] = function(*map(value, arguments))
            return values[n]

        used = {n for _, arguments in self.steps for n in arguments}
        return {f"y{n}": value(n) for n in range(self.given, len(self.values)) if n not in used}


ENTRIES = [*_ELEMENTWISE, *((operation, dtype) for operation in _RULES for dtype in (F64, I64, BOOL))]


@pytest.mark.parametrize("operation", dict.fromkeys(operation for operation, _ in ENTRIES), ids=str)
def test_every_entry_of_the_tables_computes_what_torch_does(node, operation):
    for dtype in [dtype for name, dtype in ENTRIES if name is operation]:
        generator = random.Random(str((operation, dtype)))
        program, tries = Program(generator.choice), 0
        while len(program.values) < program.given + 6 and tries < 150:
            tries += 1
            program.grow(operation, dtype)
        assert len(program.values) > program.given + 2 or operation in _RULES and dtype != F64, (operation, dtype)
        assert_same(node, program, *program.rows)


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 20))
@settings(max_examples=30)
def test_random_programs_compute_what_torch_does(node, seed, steps):
    generator = random.Random(seed)
    program = Program(generator.choice)
    for _ in range(steps):
        program.grow(*generator.choice(ENTRIES))
    assert_same(node, program, *program.rows)


# --- What is easily translated wrong ---

CORNERS = f64(-INF, -3, -2.5, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2.5, 3, 2**53, INF, NAN)
CORNER_CASES = {
    "pow": lambda x, y: x**y,
    "remainder": lambda x, y: x % y,
    "floor_divide": lambda x, y: x // y,
    "rounding_mode": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "fmod": torch.fmod,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "clamp": lambda x, y: x.clamp(-y, y),
    "logical": lambda x, y: x.logical_and(y).double() + 2 * x.logical_or(y) + 4 * x.logical_xor(y),
    "not": lambda x, y: x.logical_not().double() + 2 * ~(x > y),
    "compare": lambda x, y: (x == y).double() + 2 * (x != y) + 4 * (x < y) + 8 * (x >= y),
    "round": lambda x, y: torch.stack([x.round(), x.trunc(), x.floor(), x.ceil()]),
    "sign": lambda x, y: torch.stack([x.sign(), x.relu(), x.abs()]),
    "roots": lambda x, y: torch.stack([x**0.5, (x + 9) ** -0.5, x.sqrt()]),
    "powers": lambda x, y: torch.stack([x**0, x**1, x**2, x**3, x**-1, x**NAN, x**INF, 1**x, 0.5**x]),
    "bool": lambda x, y: x.bool(),
}


@pytest.mark.parametrize("name", CORNER_CASES)
def test_corners(node, name):
    x = CORNERS.repeat_interleave(len(CORNERS))
    assert_same(
        node,
        lambda x, y: {"z": CORNER_CASES[name](x, y)},
        {"x": x, "y": CORNERS.repeat(len(CORNERS))},
        rtol=1e-13,
        atol=0,
    )


SMALL = {
    "long": (lambda a: a.long(), 2.7, 2),
    "negative long": (lambda a: a.long(), -2.7, -2),
    "bool": (lambda a: a.bool(), 2.5, 1),
    "floor division": (lambda a: torch.div(a, 2, rounding_mode="floor"), 7, 3),
    "integer division": (lambda a: a.long() // 2, -7, -4),
    "logical_and": (lambda a: torch.logical_and(a, a / 2), 2, 1),
    "logical_not": (lambda a: a.logical_not(), 3, 0),
    "bitwise_not": (lambda a: ~(a > 4), 5, 0),
    "one zero": (lambda a: 1 / (a.long() * -1).double(), 0, INF),
    "half to even": (lambda a: a.round(), 2.5, 2),
    "argmax along a dimension": (lambda a: (a * f64(1, 3, 2) + f64(0, 0, 9)[:, None]).argmax(1).sum(), 1, 3),
    "argmax of NaN": (lambda a: torch.stack([a, a.sqrt(), a]).argmax(), -1, 1),
    "argmin": (lambda a: (a * f64(3, 1, 2)).argmin(), 1, 1),
    "negative index": (lambda a: (a * f64(1, 2, 3)).take(torch.tensor([-1]) + a.long() * 0), 1, [3]),
    "slice from before the start": (lambda a: (a * f64(1, 2, 3))[-9:], 1, [1, 2, 3]),
    "empty constant": (lambda a: torch.cat([torch.zeros(0, dtype=F64), a.reshape(1)]), 4, [4]),
    "empty result": (lambda a: a * torch.zeros(0, dtype=F64), 4, []),
    "boolean as number": (lambda a: (a > 1) == 1, 2, 1),
    "integers and floats": (lambda a: torch.arange(3) * a, 0.5, [0, 0.5, 1]),
    "float32 constant": (lambda a: torch.tensor([0.1]) * a.reshape(1), 1, [torch.tensor(0.1).item()]),
    "chain of views": (lambda a: (a * f64(1, 2, 3, 4, 5, 6)).view(2, 3).T[1:, 1].unsqueeze(0), 1, [5, 6]),
    "join along the last dimension": (lambda a: torch.stack([a * f64(1, 2), a * f64(3, 4)], 1), 1, [1, 3, 2, 4]),
    "cumsum": (lambda a: (a * f64(1, 2, 3, 4).view(2, 2)).cumsum(0), 1, [1, 2, 4, 6]),
    "cumsum of a number": (lambda a: a.cumsum(0) + 1, 2, 3),
    "sum of a number": (lambda a: a.sum(0), 2, 2),
    "split": (lambda a: (a * f64(1, 2, 3, 4).view(2, 2)).split([1, 1], 1)[1], 1, [2, 4]),
    "bce": (lambda a: torch.nn.functional.binary_cross_entropy_with_logits(a.reshape(1), f64(1)), 0, math.log(2)),
    "gradient of relu": (lambda a: torch.func.grad(lambda a: a.relu() * 3)(a), 2, 3),
    "gradient of an element": (lambda a: torch.func.grad(lambda x: x[1] * x[2])(a * f64(1, 2, 3)), 1, [0, 3, 2]),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_cases(node, name):
    function, given, expected = SMALL[name]
    (computed,) = node(to_javascript(lambda a: {"z": function(a)}, {"a": 1}), [{"a": torch.tensor(given, dtype=F64)}])
    assert ([float(z) for z in computed["z"]] if isinstance(expected, list) else float(computed["z"])) == expected
    assert_same(node, lambda a: {"z": function(a)}, {"a": given})


def filled(x):
    x = x * 1
    x[0] = 1
    return x


REFUSED = {
    "aten.special_bessel_j0.default has no translation to JavaScript: ": torch.special.bessel_j0,
    "aten._to_copy.default has no translation to JavaScript for torch.float32: ": lambda x: x.float(),
    "aten.mul.Tensor has no translation to JavaScript for torch.float32: ": lambda x: torch.tensor([0.1]) * x.sum(),
    "aten.gt.Tensor has no translation to JavaScript for torch.float32: ": lambda x: torch.tensor([0.1]) > x.sum(),
    "aten.eq.Scalar has no translation to JavaScript for torch.float32: ": lambda x: x.argmax() == 0.1,
    "aten.div.Tensor has no translation to JavaScript for torch.float32: ": lambda x: x.long() / 2,
    "aten.pow.Tensor_Scalar has no translation to JavaScript for torch.int64: ": lambda x: x.long() ** 2,
    "aten.add.Tensor has no translation to JavaScript for torch.bool: ": lambda x: (x > 0) + (x > 1),
    "aten.bitwise_not.default has no translation to JavaScript for torch.int64: ": lambda x: ~x.long(),
    "aten.add.Tensor has no translation to JavaScript with alpha: ": lambda x: torch.add(x, x, alpha=2),
    "aten.rsub.Scalar has no translation to JavaScript with 3 arguments: ": lambda x: torch.rsub(x, 1, alpha=2),
    "aten.sum.default has no translation to JavaScript with dtype: ": lambda x: x.sum(dtype=I64),
    "aten.div.Tensor_mode has no translation": lambda x: torch.div(x, x, rounding_mode="trunc"),
    "aten.view.dtype has no translation": lambda x: x.view(I64),
    "aten.sort.default has no translation to JavaScript: ": lambda x: x.sort().values,
    "aten.any.dims has no translation to JavaScript: ": lambda x: x.any((0,)),
    "aten.rand.default has no translation to JavaScript, because it draws random numbers: ": lambda x: (
        x + torch.rand(2)
    ),
    "aten.copy_.default has no translation to JavaScript, because it changes a tensor in place: ": filled,
    "aten.scatter_add.default has no translation to JavaScript for more than one dimension: ": lambda x: x.view(
        2, 1
    ).scatter_add(0, x.view(2, 1).long(), x.view(2, 1)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_not_known_is_refused(message):
    with pytest.raises(NotImplementedError) as caught:
        to_javascript(lambda x: {"y": REFUSED[message](x)}, {"x": f64(0, 1)})
    assert str(caught.value).startswith(message)


def test_a_refusal_names_the_line_of_the_traced_code():
    def bessel(x):
        y = x + 1
        return torch.special.bessel_j0(y)  # this line

    with pytest.raises(NotImplementedError) as caught:
        to_javascript(lambda x: {"y": torch.func.vmap(lambda x: 2 * bessel(x))(x)}, {"x": f64(0, 1)})
    line = bessel.__code__.co_firstlineno + 2
    place = f"{__name__}.test_a_refusal_names_the_line_of_the_traced_code.<locals>.bessel, line {line}"
    assert str(caught.value).endswith(f": {place}: return torch.special.bessel_j0(y)  # this line")


def test_what_is_constant_may_be_any_operation(node):
    def with_constants(x):
        return {
            "y": x * torch.special.bessel_j0(f64(1, 2))
            + torch.tensor([3.0, 1.0]).sort().values * f64(2, 3).prod()
            + f64(1, 1) ** NAN
        }

    assert_same(node, with_constants, {"x": f64(1, -2)}, rtol=1e-15, atol=0)


def test_functions_that_cannot_be_traced():
    with pytest.raises(TypeError, match="control flow depends on a value"):
        to_javascript(lambda a: {"x": a if a > 0 else -a}, {"a": 1})
    with pytest.raises(TypeError, match="expected a dict of tensors"):
        to_javascript(lambda a: a, {"a": 1})


def test_the_module_needs_torch_alone():
    code = f"""
import importlib.abc, importlib.util, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"asl_explainer", "fastcore", "IPython", "ipywidgets", "matplotlib"}}:
            raise ImportError(f"{{name}} is not needed")
sys.meta_path.insert(0, Refuse())
spec = importlib.util.spec_from_file_location("torch2js", {torch2js.__file__!r})
sys.modules["torch2js"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.to_javascript(lambda x: {{"y": x * 2}}, {{"x": 1}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "$x * 2" in done.stdout


# --- The loss ---

CASES = 20_000


def random_settings(count):
    "Random and extreme settings of one label."
    torch.manual_seed(0)
    uniform = torch.rand(count, 8, dtype=torch.float64)
    gamma = [
        torch.where(
            uniform[:, n] < 0.15, 0.0, torch.where(uniform[:, n] < 0.4, uniform[:, n + 1], 8 * uniform[:, n + 1])
        )
        for n in (0, 1)
    ]
    clip = torch.where(uniform[:, 3] < 0.2, 0.0, 0.5 * uniform[:, 4])
    p = torch.where(
        uniform[:, 5] < 0.1, clip, torch.where(uniform[:, 5] < 0.3, 10 ** (-12 * uniform[:, 6]), uniform[:, 6])
    )
    p = torch.where(uniform[:, 5] > 0.85, 1 - 10 ** (-12 * uniform[:, 6]), p).clamp(1e-12, 1 - 1e-12)
    z = torch.where(uniform[:, 7] < 0.3, 200 * (uniform[:, 6] - 0.5), p.logit())
    return {
        "z": z,
        "y": (uniform[:, 2] < 0.5).double(),
        "gamma_neg": gamma[0],
        "gamma_pos": gamma[1],
        "clip": clip,
        "eps": 10 ** (-8 * uniform[:, 4]),
    }


def compute(node, function, columns):
    "The results for each row of settings."
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
    results = node(to_javascript(function, rows[0]), rows)
    flat = [
        [number for value in row.values() for number in (value if isinstance(value, list) else [value])]
        for row in results
    ]
    return torch.tensor([[float(number) for number in row] for row in flat], dtype=F64)


def test_javascript_of_a_label_matches_torch(node):
    def one_label(z, y, **settings):
        loss, gradient = label_curve(z, y, **settings)
        return {"loss": loss, "gradient": gradient}

    columns = random_settings(CASES)
    results = compute(node, one_label, columns)
    expected = torch.stack(list(one_label(**columns).values()), dim=1)
    differs = (results - expected).abs() > 1e-12 * expected.abs()
    # At p = clip the curve has a corner, and the last digit of p decides on which side of it a label is.
    corner = ((columns["z"].sigmoid() - columns["clip"]).abs() < 1e-12) & (columns["y"] == 0)
    assert 500 < corner.sum() < CASES / 10
    before, after = (
        torch.stack(list(one_label(**{**columns, "z": columns["z"] + step}).values()), dim=1) for step in (-1e-9, 1e-9)
    )
    between = (results >= torch.minimum(before, after)) & (results <= torch.maximum(before, after))
    differs[corner] &= ~between[corner]
    row = differs.any(1)
    assert not row.any(), [
        {name: column[row][0].item() for name, column in columns.items()},
        results[row][0],
        expected[row][0],
    ]


def test_javascript_of_a_single_label_sample_matches_torch(node):
    def sample(a, b, c, gamma_neg, gamma_pos, eps):
        target = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
        loss, gradient = loss_and_gradient(
            lambda z: single_label_reference(z, target, gamma_pos, gamma_neg, eps), torch.stack([a, b, c])
        )
        return {"loss": loss, "gradient": gradient}

    columns = random_settings(2_000)
    columns = {"a": columns["z"] / 8, "b": columns["z"].roll(1) / 8, "c": columns["z"].roll(2) / 8} | {
        name: columns[name] for name in ["gamma_neg", "gamma_pos", "eps"]
    }
    results = compute(node, sample, columns)
    expected = torch.stack([torch.cat(list(sample(*row).values())) for row in zip(*columns.values())])
    # The sum over classes may cancel, so it is only as precise as its largest term.
    torch.testing.assert_close(results, expected, rtol=1e-12, atol=1e-13)
