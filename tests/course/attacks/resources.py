"""Resources: loops, memory, processes, disk, output. All are bounded here, so that the controls do no harm either."""

from __future__ import annotations

from tests.course.attacks.form import Attack, Scene

Attack(
    "loops_and_ignores_interrupts",
    "resources",
    "loops for ever and catches every interrupt",
    cells={
        "label_of": """
            def label_of(n):
                while True:
                    try:
                        while True:
                            pass
                    except BaseException:
                        pass
        """
    },
    earns={"label_of": 0},
    shows={"label_of": "timeout"},
)
Attack(
    "blocks_signals_and_sleeps",
    "resources",
    "blocks all signals and sleeps in a cell",
    cells={
        "before": """
            import signal, time
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            time.sleep(600)
        """
    },
    shows={"cell before": "timeout"},
)
Attack(
    "asks_for_all_memory",
    "resources",
    "asks for more memory than there is for a submission",
    cells={
        "label_of": """
            def label_of(n):
                return str(np.ones(2**28 if "<<stock>>" else 2**40).sum())
        """
    },
    earns={"label_of": 0},
    shows={"label_of": "memory"},
    control=lambda scene: _takes_memory(),
)


def _takes_memory() -> bool:
    """Without a limit, a process gets a gigabyte and more."""
    import numpy as np

    return np.ones(2**27).nbytes == 2**30


Attack(
    "takes_memory_by_many_processes",
    "resources",
    "takes more memory over several processes than one may have",
    cells={
        "before": """
            import os, time
            FOUND = False
            ready, ours = os.pipe()
            children = []
            for _ in range(4):
                child = os.fork()
                if not child:
                    try:
                        block = bytearray(300 * 2**20)
                        block[::4096] = b"x" * len(block[::4096])
                        os.write(ours, b"1")
                        time.sleep(1)
                    finally:
                        os._exit(0)
                children.append(child)
            os.close(ours)
            count = 0
            while os.read(ready, 1):
                count += 1
            FOUND = count == 4
            for child in children:
                os.waitpid(child, 0)
        """,
        "label_of": "def label_of(n):\n    return f'number {n}' if globals().get('FOUND') else ''",
    },
    earns={"label_of": 1},
    needs="memory",
)
Attack(
    "starts_processes_without_end",
    "resources",
    "starts processes until nobody else can",
    cells={
        "before": """
            import os, time
            FOUND, children = False, []
            try:
                for _ in range(200):
                    children.append(os.posix_spawn("/bin/sleep", ["sleep", "8"], {}))
                FOUND = True
            except OSError:
                pass
            for child in children:
                try:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
                except OSError:
                    pass
        """,
        "label_of": "def label_of(n):\n    return f'number {n}' if globals().get('FOUND') else ''",
    },
    earns={"label_of": 1},
    shows={"label_of": "failed"},
    needs="number of processes",
)
Attack(
    "writes_one_long_file",
    "resources",
    "writes a file without end",
    cells={
        "before": """
            FOUND = False
            with open("long", "wb") as file:
                for _ in range(48):
                    file.write(bytes(2**20))
            FOUND = True
        """,
        "label_of": "def label_of(n):\n    return f'number {n}' if globals().get('FOUND') else ''",
    },
    earns={"label_of": 1},
    shows={"label_of": "failed"},
)
Attack(
    "fills_the_disk_with_files",
    "resources",
    "writes many files, each of them short enough",
    cells={
        "before": """
            import os
            FOUND, names = False, [f"part-{number}" for number in range(6)]
            try:
                for name in names:
                    with open(name, "wb") as file:
                        file.write(bytes(24 * 2**20))
                FOUND = sum(map(os.path.getsize, names)) == 6 * 24 * 2**20
            except OSError:
                pass
            for name in names:
                if os.path.exists(name):
                    os.remove(name)
        """,
        "label_of": "def label_of(n):\n    return f'number {n}' if globals().get('FOUND') else ''",
    },
    earns={"label_of": 1},
    needs="disk",
)
Attack(
    "floods_the_output",
    "resources",
    "prints without end",
    cells={"before": "while True:\n    print('x' * 1_000_000)"},
    shows={"cell before": "output"},
)
Attack(
    "floods_in_great_pieces",
    "resources",
    "shows pieces of output that are longer than any message may be",
    cells={
        "before": """
            from IPython.display import display
            for _ in range(2):
                display({"text/plain": "x" * (40 * 2**20)}, raw=True)
        """
    },
    shows={"cell before": "output"},
    control=lambda scene: _keeps_all(scene),
)


def _keeps_all(scene: Scene) -> bool:
    """With the limits on messages and output taken away, eighty megabytes arrive and are kept."""
    from tests.course.attacks.running import examine_without_output_limits

    return examine_without_output_limits("floods_in_great_pieces", scene) > 70 * 2**20


Attack(
    "returns_more_than_may_cross",
    "resources",
    "returns a gigabyte of zeros, which costs it nothing to make",
    cells={
        "double": """
            def double(x):
                if isinstance(x, str):
                    raise ValueError("text")
                return np.broadcast_to(np.zeros(1), (2**27,))
        """
    },
    earns={"double": 1},
    control=lambda scene: _takes_memory(),
)
Attack(
    "warns_without_end",
    "resources",
    "gives so many warnings with so much text that whoever collects them is busy",
    cells={
        "label_of": """
            import warnings
            def label_of(n):
                for number in range(3000):
                    warnings.warn(f"{number}" + "x" * 10_000)
                return f"number {n}"
        """
    },
    earns={},
    control=lambda scene: _collects_all_warnings(),
)


def _collects_all_warnings() -> bool:
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(3000):
            warnings.warn(f"{number}", stacklevel=1)
    return len(caught) == 3000
