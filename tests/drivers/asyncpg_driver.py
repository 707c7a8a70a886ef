"""asyncpg through the proxy: it prepares every statement under a name of its own and uses binary formats.

The connection comes from libpq's environment variables. Prints "ok" when everything held.
"""

import asyncio
import os
import ssl

import asyncpg

SESSION = os.environ["POOL_MODE"] == "session"


def transport():
    if os.environ["PGSSLMODE"] == "disable":
        return False
    return ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])


async def connect():
    return await asyncpg.connect(
        host="localhost",
        port=int(os.environ["PGPORT"]),
        user=os.environ["PGUSER"],
        database=os.environ["PGDATABASE"],
        ssl=transport(),
    )


async def client(number):
    connection = await connect()
    table = f"asyncpg_{number}"
    try:
        for key in range(1, 31):
            assert await connection.fetchval("SELECT amount FROM orders WHERE id = $1", key) == key * 10
        await connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, note text)")
        await connection.executemany(f"INSERT INTO {table} VALUES ($1, $2)", [(n, "many") for n in range(50)])
        prepared = await connection.prepare(f"SELECT note FROM {table} WHERE id = $1")
        assert [await prepared.fetchval(n) for n in range(20)] == ["many"] * 20

        async with connection.transaction():
            seen = [row["id"] async for row in connection.cursor(f"SELECT id FROM {table} ORDER BY id", prefetch=7)]
            assert seen == list(range(50))
            try:
                async with connection.transaction():  # a savepoint
                    await connection.execute(f"INSERT INTO {table} VALUES (1, 'twice')")
                raise AssertionError("a duplicate key passed")
            except asyncpg.UniqueViolationError:
                pass
            await connection.execute(f"INSERT INTO {table} VALUES (60, 'kept')")

        records = [(n, "copied") for n in range(1000, 3000)]
        assert await connection.copy_records_to_table(table, records=records) == "COPY 2000"
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 2051
        try:
            await connection.fetchval("SELECT 1 / $1::int", 0)
            raise AssertionError("division by zero passed")
        except asyncpg.DivisionByZeroError:
            pass
        await connection.execute(f"DROP TABLE {table}")
    finally:
        await connection.close()


async def notifications():
    listener, speaker = await connect(), await connect()
    heard = asyncio.get_running_loop().create_future()
    await listener.add_listener("news", lambda *arguments: heard.done() or heard.set_result(arguments[3]))
    await speaker.execute("NOTIFY news, 'hello'")
    assert await asyncio.wait_for(heard, 20) == "hello"
    await listener.close()
    await speaker.close()


async def main():
    await asyncio.gather(*(client(number) for number in range(4 if SESSION else 12)))
    if SESSION:
        await notifications()
    print("ok")


asyncio.run(main())
