// The scenario in Node.js with mysql2. Arguments: host, port, user, password, TLS, compression.
const mysql = require("mysql2/promise");
const fs = require("fs");
const assert = require("assert");

const [host, port, user, password, tls, compress] = process.argv.slice(2);
const WORD = "žluťoučký 🐬 日本";
const BLOB = Buffer.alloc(17_024_000, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
const options = {
  host, port: Number(port), user, password, database: "test", charset: "utf8mb4", multipleStatements: true,
  compress: compress === "1", ssl: tls === "1" ? { rejectUnauthorized: false } : undefined,
};

async function failsWith(code, act) {
  await assert.rejects(act, (error) => { assert.strictEqual(error.errno, code, error); return true; });
}

(async () => {
  const connection = await mysql.createConnection(options);
  await connection.query("create table node_stack (id int primary key, v varchar(40) character set utf8mb4, b longblob)");
  await connection.beginTransaction();
  await connection.execute("insert into node_stack values (?, ?, ?)", [1, WORD, ""]);
  await connection.commit();
  await connection.beginTransaction();
  await connection.execute("insert into node_stack values (?, ?, ?)", [2, "gone", ""]);
  await connection.rollback();
  let [rows] = await connection.execute("select id, v from node_stack where id < ?", [9]);
  assert.deepStrictEqual(rows.map((row) => [row.id, row.v]), [[1, WORD]]);
  await failsWith(1146, () => connection.query("select * from nothing_here"));
  await connection.execute("update node_stack set b = ? where id = ?", [BLOB, 1]);
  [rows] = await connection.execute("select b from node_stack where id = ?", [1]);
  assert(rows[0].b.equals(BLOB));
  [rows] = await connection.query("select 1 as a; select 2 as b, 3 as c; do 0");
  assert.deepStrictEqual([rows[0][0].a, rows[1][0].c], [1, 3]);
  const lines = Array.from({ length: 60_000 }, (_, i) => `${i + 100}\t${WORD}\n`).join("");
  fs.writeFileSync("node_stack.txt", lines);
  await connection.query({
    sql: "load data local infile 'node_stack.txt' into table node_stack character set utf8mb4 (id, v)",
    infileStreamFactory: (path) => fs.createReadStream(path),
  });
  [rows] = await connection.query("select count(*) as n, min(v) = max(v) as same from node_stack");
  assert.deepStrictEqual([rows[0].n, rows[0].same], [60_001, 1]);
  await connection.query("drop table node_stack");
  await connection.end();
  await failsWith(1045, () => mysql.createConnection({ ...options, password: "wrong" }));
  console.log("ok");
})().catch((error) => { console.error(error); process.exit(1); });
