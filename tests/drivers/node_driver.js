// node-postgres through the proxy: simple and extended queries, named statements, transactions, errors.
// The connection comes from libpq's environment variables. Prints "ok" when everything held.
"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const { Client } = require("pg");

const session = process.env.POOL_MODE === "session";
const ssl = process.env.PGSSLMODE === "disable" ? false : { ca: fs.readFileSync(process.env.PGSSLROOTCERT) };

async function client(number) {
  const client = new Client({ host: "localhost", ssl });
  await client.connect();
  const simple = await client.query("SELECT amount FROM orders WHERE id = 3");
  assert.deepStrictEqual(simple.rows, [{ amount: 30 }]);
  for (let key = 1; key <= 20; key++) {
    const named = await client.query({ name: "one", text: "SELECT amount FROM orders WHERE id = $1", values: [key] });
    assert.deepStrictEqual(named.rows, [{ amount: key * 10 }]);
  }
  const table = `node_${number}`;
  await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY)`);
  await client.query("BEGIN");
  await client.query(`INSERT INTO ${table} SELECT generate_series(1, $1::int)`, [25]);
  await assert.rejects(client.query("SELECT 1 / 0"), { code: "22012" });
  await assert.rejects(client.query("SELECT 1"), { code: "25P02" });
  await client.query("ROLLBACK");
  const empty = await client.query(`SELECT count(*)::int AS n FROM ${table}`);
  assert.deepStrictEqual(empty.rows, [{ n: 0 }]);
  const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => client.query("SELECT $1::int AS n", [n])));
  assert.deepStrictEqual(answers.map((answer) => answer.rows[0].n), [1, 2, 3, 4, 5]);
  await client.query(`DROP TABLE ${table}`);
  await client.end();
}

async function main() {
  await Promise.all(Array.from({ length: session ? 4 : 12 }, (_, number) => client(number)));
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
