"""psycopg 3 in front of masked columns, in text and binary, prepared and not.

The connection comes from libpq's environment variables. Prints "ok" when everything held.
"""

import psycopg

with psycopg.connect(autocommit=True) as connection:
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        for prepare in (None, True, True, False):
            row = cursor.execute("SELECT id, email, ssn FROM apart.users WHERE id = %s", (3,), prepare=prepare).fetchone()
            assert row == (3, None, None), row
            row = cursor.execute("SELECT * FROM apart.users u WHERE id = %s", (4,), prepare=prepare).fetchone()
            assert row == (4, "name 4", None, None, 154), row
    with connection.pipeline():
        cursors = [connection.execute("SELECT email, id FROM apart.users WHERE id = %s", (n,)) for n in range(1, 10)]
        assert [cursor.fetchone() for cursor in cursors] == [(None, n) for n in range(1, 10)]
    for statement in ("SELECT lower(email) FROM apart.users", "COPY apart.users TO STDOUT", "SELECT u FROM apart.users u"):
        try:
            connection.execute(statement)
            raise AssertionError(statement)
        except psycopg.errors.InsufficientPrivilege as error:
            assert "users.email" in str(error), error
    with connection.transaction(force_rollback=True):
        row = connection.execute("UPDATE apart.users SET email = %s WHERE id = 5 RETURNING *", ("new",)).fetchone()
        assert row == (5, "name 5", None, None, 155), row
    # A server-side cursor is declared, and may show no masked column.
    with connection.transaction(), connection.cursor("named") as cursor:
        cursor.execute("SELECT id FROM apart.users ORDER BY id")
        assert cursor.fetchmany(2) == [(1,), (2,)]
print("ok")
