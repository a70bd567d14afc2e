"""One writer: while a command writes grades, no other one of the same class does.

A lock on a file in the class's folder holds off commands on this machine (or on one that shares the folder and locks),
and where the gradebook is a PostgreSQL, a lock in the database holds off those elsewhere. Both end with the process,
however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator

from course.errors import CourseError
from course.grading.classroom import Classroom, shown_url

LOCK = ".writing"


@contextlib.contextmanager
def one_writer(classroom: Classroom) -> Iterator[None]:
    """Be the only one who writes grades of a class.

    Raises
    ------
    CourseError : another command is writing them
    """
    with _file_lock(classroom), _database_lock(classroom):
        yield


@contextlib.contextmanager
def _file_lock(classroom: Classroom) -> Iterator[None]:
    file = classroom.folder / LOCK
    with open(file, "a+", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            who = stream.read(20).strip()
            raise CourseError(
                f"another command is writing grades of {classroom.folder}{f' (process {who})' if who else ''}; "
                "wait until it has ended"
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        try:
            yield
        finally:
            stream.truncate(0)


@contextlib.contextmanager
def _database_lock(classroom: Classroom) -> Iterator[None]:
    if not classroom.database_url.startswith("postgresql"):
        yield
        return
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    number = int.from_bytes(
        hashlib.sha256(f"multiomics-course {classroom.course_id}".encode()).digest()[:8], signed=True
    )
    try:
        engine = create_engine(classroom.database_url)
        connection = engine.connect()
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise CourseError(f"the gradebook {shown_url(classroom.database)} can't be used: {reason}") from None
    try:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:n)"), {"n": number}).scalar():
            raise CourseError(
                f"another command is writing grades to {shown_url(classroom.database)}; wait until it has ended"
            )
        connection.rollback()  # the lock belongs to the session; no transaction stays open beside it
        yield
    finally:
        with contextlib.suppress(SQLAlchemyError):
            connection.close()
        engine.dispose()
