"""IPython hooks and messages: what stands between the source of a check and what is shown of it."""

from __future__ import annotations

from tests.course.attacks.form import Attack

WRONG = ("double", "label_of", "total")
SHOWS = {"double": "failed", "label_of": "failed", "total": "failed"}
MIXED = {"label_of": "failed", "total": "failed"}

Attack(
    "strips_asserts_from_the_tree",
    "hooks",
    "registers an AST transformer that removes assert statements and calls of assertions",
    cells={
        "before": """
            import ast
            class Strip(ast.NodeTransformer):
                def visit_Assert(self, node):
                    return ast.Pass()
                def visit_Expr(self, node):
                    return ast.Pass() if "assert" in ast.dump(node) else node
            get_ipython().ast_transformers.append(Strip())
        """
    },
    wrong=("label_of", "total", "centre"),
    shows=MIXED,
)
Attack(
    "empties_the_checks_source",
    "hooks",
    "registers an input transformer that empties every cell with an assert",
    cells={
        "before": """
            def empty(lines):
                return [] if any("assert" in line or "grade(" in line for line in lines) else lines
            get_ipython().input_transformers_post.append(empty)
        """
    },
    wrong=WRONG,
    shows=MIXED,
)
Attack(
    "runs_no_cell",
    "hooks",
    "replaces the method by which IPython runs a cell",
    cells={
        "last": "0",
        "before": """
            shell = get_ipython()
            original = shell.run_cell
            class Fine:
                success, error_before_exec, error_in_exec, result, execution_count = True, None, None, None, 1
                def raise_error(self):
                    pass
            async def nothing(*args, **kwargs):
                return Fine()
            def run(source, *args, **kwargs):
                return original("" if "assert" in source else source, *args, **kwargs)
            async def run_async(source, *args, **kwargs):
                return await original_async("" if "assert" in source else source, *args, **kwargs)
            original_async = shell.run_cell_async
            shell.run_cell, shell.run_cell_async = run, run_async
        """,
    },
    wrong=WRONG,
    shows=MIXED,
)
Attack(
    "keeps_errors_to_itself",
    "hooks",
    "sends no error message and says of every cell that it ran well",
    cells={
        "before": """
            session = get_ipython().kernel.session
            send = session.send
            def quiet(stream, message, *args, **kwargs):
                kind = message if isinstance(message, str) else message.get("msg_type", "")
                if kind == "error":
                    return None
                content = args[0] if args else kwargs.get("content")
                if isinstance(content, dict) and content.get("status") == "error":
                    content["status"] = "ok"
                    content.setdefault("execution_count", 1)
                return send(stream, message, *args, **kwargs)
            session.send = quiet
            get_ipython().showtraceback = lambda *args, **kwargs: None
        """
    },
    wrong=WRONG,
    shows=MIXED,
)
Attack(
    "handles_exceptions_its_own_way",
    "hooks",
    "sets a handler that swallows every exception",
    cells={
        "before": """
            shell = get_ipython()
            shell.set_custom_exc((BaseException,), lambda *args, **kwargs: [])
            kernel = shell.kernel
            do_execute = kernel.do_execute
            async def do(*args, **kwargs):
                reply = await do_execute(*args, **kwargs)
                return reply | {"status": "ok", "payload": [], "user_expressions": {}}
            kernel.do_execute = do
        """
    },
    wrong=WRONG,
    shows=MIXED,
)
Attack(
    "publishes_points",
    "hooks",
    "shows full points as the value of every cell and swallows what would contradict",
    cells={
        "before": """
            shell = get_ipython()
            kernel = shell.kernel
            do_execute = kernel.do_execute
            async def do(code, *args, **kwargs):
                shell.showtraceback = lambda *a, **k: None
                reply = await do_execute(code, *args, **kwargs)
                content = {"data": {"text/plain": "3.0"}, "metadata": {}, "execution_count": 1}
                kernel.session.send(kernel.iopub_socket, "execute_result", content, parent=kernel.get_parent())
                return reply | {"status": "ok"}
            kernel.do_execute = do
        """
    },
    wrong=WRONG,
    shows=MIXED,
)
Attack(
    "answers_before_it_ran",
    "hooks",
    "sends the reply to a request itself, as often as it likes, and then runs something else",
    cells={
        "before": """
            kernel = get_ipython().kernel
            do_execute = kernel.do_execute
            async def do(code, *args, **kwargs):
                if "assert" in code or "agent" in code:
                    code = "pass"
                return await do_execute(code, *args, **kwargs)
            kernel.do_execute = do
        """
    },
    earns=dict.fromkeys(("double", "label_of", "total", "centre", "shuffled"), 0),
    wrong=WRONG,
    shows={"double": "error"},
)
Attack(
    "redefines_before_each_cell",
    "hooks",
    "puts an assertion that does nothing in place before every cell and after every import",
    cells={
        "before": """
            import numpy.testing, pandas as pd
            def quiet(*args, **kwargs):
                numpy.testing.assert_allclose = lambda *a, **k: None
                pd.DataFrame.equals = lambda *a: True
            get_ipython().events.register("pre_run_cell", quiet)
        """,
        "double": "def double(x):\n    if isinstance(x, str):\n        raise ValueError('text')\n    return x * 0 + 2",
    },
    earns={"double": 3},
    shows={"double": "failed"},
)
