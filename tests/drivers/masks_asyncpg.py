"""asyncpg in front of masked columns: every statement is prepared under a name, described, and read in binary.

The connection comes from libpq's environment variables. Prints "ok" when everything held.
"""

import asyncio
import os

import asyncpg


async def main():
    connection = await asyncpg.connect(
        host="localhost",
        port=int(os.environ["PGPORT"]),
        user=os.environ["PGUSER"],
        database=os.environ["PGDATABASE"],
        ssl=False,
    )
    for _ in range(3):
        row = await connection.fetchrow("SELECT id, email, ssn FROM apart.users WHERE id = $1", 3)
        assert tuple(row) == (3, None, None), row
    rows = await connection.fetch("SELECT *, email AS e FROM apart.users ORDER BY id")
    assert [row["id"] for row in rows] == list(range(1, 10)), rows
    assert all(row["email"] is None and row["e"] is None and row["ssn"] is None for row in rows), rows
    # A cursor of asyncpg is a portal, read in parts.
    async with connection.transaction():
        cursor = await connection.cursor("SELECT email, id FROM apart.users ORDER BY id")
        assert [tuple(row) for row in await cursor.fetch(2)] == [(None, 1), (None, 2)]
        assert [tuple(row) for row in await cursor.fetch(1)] == [(None, 3)]
    try:
        await connection.fetch("SELECT id FROM apart.users WHERE email = $1", "x")
        raise AssertionError("a condition on a masked column passed")
    except asyncpg.exceptions.InsufficientPrivilegeError as error:
        assert "users.email" in str(error), error
    await connection.close()
    print("ok")


asyncio.run(main())
