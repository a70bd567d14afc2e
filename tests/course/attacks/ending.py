"""Exits, kills and survivors: what ends early, takes others along, or stays."""

from __future__ import annotations

from tests.course.attacks.form import Attack

Attack(
    "ends_its_process_in_a_call",
    "ending",
    "ends the Python process in the middle of a call, so that no later check can fail",
    cells={
        "double": """
            import os
            def double(x):
                if isinstance(x, str):
                    raise ValueError("text")
                os._exit(0)
        """
    },
    earns={"double": 1},
    shows={"double": "kernel_died"},
)
Attack(
    "kills_itself_in_a_cell",
    "ending",
    "kills its process in a cell before the exercises",
    cells={"before": "import os\nos.kill(os.getpid(), 9)"},
    shows={"cell before": "kernel_died"},
)
Attack(
    "leaves_by_the_door",
    "ending",
    "ends the kernel in the ways that IPython has for that",
    cells={"before": "get_ipython().ask_exit()\nraise SystemExit(0)"},
)
Attack(
    "stops_the_kernels_loop",
    "ending",
    "stops the loop in which the kernel answers, so that it lives and says nothing",
    cells={
        "label_of": """
            def label_of(n):
                import os, signal
                os.kill(os.getpid(), signal.SIGSTOP)
        """
    },
    earns={"label_of": 0},
    shows={"label_of": "timeout"},
)
Attack(
    "kills_the_grader",
    "ending",
    "sends a signal to the process that grades it",
    cells={"before": "import os\nos.kill(int('<<bystander>>'), 15)"},
    harm="bystander",
    needs="processes",
)
Attack(
    "kills_its_neighbours",
    "ending",
    "looks for other processes of its user and ends those that are someone else's",
    cells={
        "before": """
            import os, pathlib
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    if b"COURSE_ATTACK_BYSTANDER=<<token>>" in (process / "environ").read_bytes():
                        os.kill(int(process.name), 9)
                except (OSError, ValueError):
                    pass
        """
    },
    harm="bystander",
    needs="processes",
)
Attack(
    "leaves_a_daemon",
    "ending",
    "leaves a process behind that outlives the grading",
    cells={
        "before": """
            import subprocess, sys
            subprocess.Popen(
                [sys.executable, "-S", "-c", "import time; time.sleep(900)  # <<token>>"],
                start_new_session=True, stdin=-3, stdout=-3, stderr=-3,
            )
        """
    },
    harm="survivor",
    needs="daemons",
)
Attack(
    "raises_what_nobody_catches",
    "ending",
    "raises an exception that `except Exception` lets through, in the check and in its own message",
    cells={
        "double": """
            class Escape(BaseException):
                def __str__(self):
                    raise SystemExit("passed")
                __repr__ = __str__
            def double(x):
                raise Escape()
        """
    },
    earns={"double": 0},
    shows={"double": "error"},
    control=lambda scene: _escapes(),
)


def _escapes() -> bool:
    """An `except Exception` around the call does not hold it."""
    escape = type("Escape", (BaseException,), {})
    try:
        try:
            raise escape
        except Exception:
            return False
    except BaseException:
        return True
