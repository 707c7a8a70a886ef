"""psycopg 3 through the proxy: ordinary use by more clients than there are server connections.

The connection comes from libpq's environment variables. Prints "ok" when everything held.
"""

import os
import threading

import psycopg

SESSION = os.environ["POOL_MODE"] == "session"


def statements(connection):
    row = connection.execute("SELECT item, amount FROM orders WHERE id = %s", (7,)).fetchone()
    assert row == ("item 7", 70), row
    # After five uses psycopg prepares on the server, under a name of its own.
    for number in range(1, 21):
        row = connection.execute("SELECT amount FROM orders WHERE id = %s", (number,)).fetchone()
        assert row == (number * 10,), row
    row = connection.execute("SELECT %b::int8 + 1", (41,), binary=True).fetchone()
    assert row == (42,), row
    connection.commit()


def transactions(connection, table):
    with connection.transaction():
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, note text)")
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s)", [(n, f"note {n}") for n in range(50)])
    connection.commit()
    try:
        with connection.transaction():
            connection.execute(f"INSERT INTO {table} VALUES (999, 'rolled back')")
            connection.execute("SELECT 1 / 0")
        raise AssertionError("division by zero passed")
    except psycopg.errors.DivisionByZero:
        pass
    with connection.transaction():
        connection.execute(f"INSERT INTO {table} VALUES (60, 'kept')")
        try:
            with connection.transaction():  # a savepoint
                connection.execute(f"INSERT INTO {table} VALUES (60, 'twice')")
        except psycopg.errors.UniqueViolation:
            pass
    assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (51,)
    connection.commit()


def copies(connection, table):
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for number in range(1000, 3000):
                copy.write_row((number, "copied"))
        with cursor.copy(f"COPY (SELECT id FROM {table} WHERE note = 'copied') TO STDOUT") as copy:
            assert sum(1 for _ in copy.rows()) == 2000
    connection.commit()


def pipelines(connection):
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int4", (number,)) for number in range(100)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(100))
    connection.commit()
    try:
        with connection.pipeline():
            connection.execute("SELECT 1")
            connection.execute("SELECT 1 / 0")
            connection.execute("SELECT 2")
        raise AssertionError("division by zero passed")
    except psycopg.errors.DivisionByZero:
        connection.rollback()
    assert connection.execute("SELECT 3").fetchone() == (3,)
    connection.commit()


def cursors(connection):
    with connection.cursor(name="rows") as cursor:  # DECLARE, inside a transaction
        cursor.itersize = 30
        cursor.execute("SELECT id FROM orders ORDER BY id")
        assert [row[0] for row in cursor] == list(range(1, 101))
    connection.commit()


def client(number, failures):
    try:
        with psycopg.connect() as connection:
            statements(connection)
            transactions(connection, f"psycopg_{number}")
            copies(connection, f"psycopg_{number}")
            pipelines(connection)
            cursors(connection)
            connection.execute(f"DROP TABLE psycopg_{number}")
            connection.commit()
    except BaseException as error:  # reported below, by the main thread
        failures.append(error)


def notifications():
    with psycopg.connect(autocommit=True) as listener, psycopg.connect(autocommit=True) as speaker:
        listener.execute("LISTEN news")
        speaker.execute("NOTIFY news, 'hello'")
        notice = next(listener.notifies(timeout=20, stop_after=1))
        assert (notice.channel, notice.payload) == ("news", "hello"), notice


def main():
    clients = 4 if SESSION else 12
    failures = []
    threads = [threading.Thread(target=client, args=(number, failures)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    if SESSION:
        notifications()
    print("ok")


main()
