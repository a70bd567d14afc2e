"""Lying objects and values: what is equal to everything, what spoils the input, what ends a test's loop."""

from __future__ import annotations

import pickle
from pathlib import Path

from course.checking import wire
from course.grading import examine
from tests.course.attacks.form import Attack, Scene

YES = """
class Yes:
    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self
    def __eq__(self, other): return True
    def __ne__(self, other): return True
    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    def __bool__(self): return True
    def __call__(self, *args, **kwargs): return self
    def __iter__(self): return iter(())
    def __len__(self): return 2
    def __getitem__(self, key): return self
    def __float__(self): return 2.0
    def __array__(self, *args, **kwargs): return np.array([2.0])
    __hash__ = None
"""

Attack(
    "array_equal_to_everything",
    "lying",
    "an array whose comparisons all say yes",
    cells={
        "double": """
            class Liar(np.ndarray):
                def __array_function__(self, func, types, args, kwargs):
                    plain = [np.asarray(a) if isinstance(a, Liar) else a for a in args]
                    close = func.__name__ in ("isclose", "allclose", "array_equal")
                    return np.ones(np.shape(plain[0]), bool) if close else func(*plain, **kwargs)
                def __eq__(self, other): return True
                def __getitem__(self, key): return 2.0 if type(key) is int else super().__getitem__(key)
            def double(x):
                if isinstance(x, str):
                    raise ValueError("text")
                return x.view(Liar)
        """
    },
    earns={"double": 2},
    shows={"double": "failed"},
)
Attack(
    "object_equal_to_everything",
    "lying",
    "an object that is equal to everything, has every attribute and is true",
    cells={"before": YES, "label_of": "def label_of(n):\n    return Yes()", "total": "total = Yes()"},
    earns={"label_of": 0, "total": 0},
    shows={"label_of": "failed", "total": "failed"},
)
Attack(
    "table_that_vouches_for_itself",
    "lying",
    "a result whose method `equals` says yes and whose shape is right",
    cells={
        "before": YES,
        "centre": """
            class Table(Yes):
                shape = (2, 1)
                def equals(self, other): return True
                loc = {f"s{i}": np.ma.masked_all(2) for i in range(9)}
            def centre(x):
                return Table()
        """,
    },
    earns={"centre": 0},
)
Attack(
    "text_equal_to_everything",
    "lying",
    "a text whose class says that it is equal to everything",
    cells={
        "label_of": """
            class Text(str):
                def __eq__(self, other): return True
                __hash__ = str.__hash__
            def label_of(n):
                return Text("?")
        """
    },
    earns={"label_of": 1},
    shows={"label_of": "failed"},
)
Attack(
    "number_equal_to_everything",
    "lying",
    "a number whose class says that it is equal to everything",
    cells={"total": "class Six(int):\n    def __eq__(self, other): return True\ntotal = Six(1)"},
    earns={"total": 0},
    shows={"total": "failed"},
)
Attack(
    "numbers_that_hide_behind_a_mask",
    "lying",
    "a masked array: what is masked differs from nothing",
    cells={
        "double": """
            def double(x):
                if isinstance(x, str):
                    raise ValueError("text")
                return np.ma.masked_all(x.shape) if x.size > 1 else 2 * x
        """
    },
    earns={"double": 3},
)
Attack(
    "empties_its_input",
    "lying",
    "drops all rows of the table it is given, so that a test that loops over them checks nothing",
    cells={
        "centre": """
            import warnings
            def centre(x):
                if x.shape == (2, 1):
                    return x
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    x.drop(index=x.index, inplace=True)
                return x
        """
    },
    earns={"centre": 1},
    shows={"centre": "failed"},
)
Attack(
    "zeroes_its_input",
    "lying",
    "sets its input to zero, so that what the test computes from it is zero too",
    cells={
        "double": """
            def double(x):
                if isinstance(x, str):
                    raise ValueError("text")
                y = 2 * x
                if x.size > 1:
                    x[:] = 0
                    y = x
                return y
        """
    },
    earns={"double": 2},
    shows={"double": "failed"},
    control=lambda scene: _held_only_once(),
)


def _held_only_once() -> bool:
    """Where a test need not hold on the inputs as they were given, the zeros earn points."""
    from tests.course.attacks.running import points_where_a_test_holds_once

    return points_where_a_test_holds_once("zeroes_its_input")["double"] > 2


Attack(
    "ends_the_loop_of_a_test",
    "lying",
    "raises StopIteration, which quietly ends a test's loop over `map`",
    cells={
        "label_of": """
            calls = []
            def label_of(n):
                calls.append(n)
                if len(calls) <= 2:
                    return f"number {n}"
                raise StopIteration
        """
    },
    earns={"label_of": 3},
    shows={"label_of": "error"},
)


def _unrestored(scene: Scene) -> bool:
    """With what tests were given left as the student changed it, the next student loses points."""
    from tests.course.attacks.running import examined_after

    return examined_after("changes_a_shared_input", keep_changes=True) < examined_after("changes_a_shared_input")


Attack(
    "changes_a_shared_input",
    "lying",
    "changes a table that the test file keeps for all, to spoil the next student's examination",
    cells={
        "centre": """
            def centre(x):
                right = x - x.mean()
                x["a"] = "spoilt"
                return right
        """
    },
    earns={"centre": 1},
    harm="next student",
    control=_unrestored,
    also_stock=False,
)


def _forged_generator_is_taken(scene: Scene) -> bool:
    """A generator with the forged state gives zeros for ever: drawing one of three numbers from it never ends."""
    import numpy as np

    rng = np.random.default_rng(5)
    rng.bit_generator.state = rng.bit_generator.state | {"state": {"state": 0, "inc": 0}}
    return not rng.bit_generator.random_raw(1000).any()


Attack(
    "forges_the_generators_state",
    "lying",
    "gives the random generator back in a state in which it hangs whoever draws from it",
    cells={
        "shuffled": """
            def shuffled(x, rng):
                out = rng.permutation(x)
                state = rng.bit_generator.state
                rng.bit_generator.state = state | {"state": {"state": 0, "inc": 0}, "has_uint32": 0, "uinteger": 0}
                return out
        """
    },
    earns={"shuffled": 2},
    control=_forged_generator_is_taken,
)


def _pickle_runs(scene: Scene) -> bool:
    """The same bytes, read as a pickle, run code."""
    marker = Path(scene.places["marker"])

    class Bomb:
        def __reduce__(self) -> object:
            return (open, (str(marker), "w"))

    pickle.loads(pickle.dumps(Bomb())).close()
    found = marker.exists()
    marker.unlink()
    return found


Attack(
    "answers_with_a_pickle",
    "lying",
    "replaces the agent in the kernel, which then answers with a pickle that runs code when it is read",
    cells={
        "before": """
            import course.checking.agent as agent, pickle, pathlib
            def answer(folder, request, reply, names=None):
                class Bomb:
                    def __reduce__(self):
                        return (open, ("<<marker>>", "w"))
                (pathlib.Path(folder) / reply).write_bytes(pickle.dumps(Bomb()))
            agent.answer = answer
        """
    },
    earns=dict.fromkeys(("double", "label_of", "total", "centre", "shuffled"), 0),
    shows={"double": "error", "total": "error"},
    harm="marker",
    control=_pickle_runs,
    also_stock=False,
)


def _recursion_breaks_naive_readers(scene: Scene) -> bool:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    try:
        pickle.dumps(deep)
    except RecursionError:
        return True
    return False


Attack(
    "returns_an_endless_nest",
    "resources",
    "returns a list nested 100,000 deep, and one that holds itself",
    cells={
        "label_of": """
            def label_of(n):
                deep = []
                for _ in range(100_000):
                    deep = [deep]
                return deep
        """,
        "total": "total = []\ntotal.append(total)",
    },
    earns={"label_of": 0, "total": 0},
    shows={"label_of": "error", "total": "error"},
    control=_recursion_breaks_naive_readers,
)


def _colliding_keys_are_slow(scene: Scene) -> bool:
    """A dict of so many colliding keys takes more than a hundred times as long as one of small numbers."""
    import time

    def seconds(keys: list[int]) -> float:
        started = time.perf_counter()
        dict.fromkeys(keys)
        return time.perf_counter() - started

    modulus = 2**61 - 1
    return seconds([k * modulus for k in range(1, 8000)]) > 100 * seconds(list(range(1, 8000)))


Attack(
    "returns_colliding_keys",
    "resources",
    "returns a set whose members all have one hash, which takes hours to build",
    cells={
        "before": "class Quiet(int):\n    pass",
        "total": """
            import course.checking.wire as wire
            write = wire._write_set
            def forged(writer, value, depth):
                return ["set", *(["int", format(k * (2**61 - 1), "x")] for k in range(1, 120_000))]
            wire._WRITERS[set] = forged
            total = {1}
        """,
    },
    earns={"total": 0},
    shows={"total": "error"},
    control=_colliding_keys_are_slow,
)
assert wire.BOUNDS.odd_keys < 10_000
assert examine.RemoteObject.__hash__ is not object.__hash__
