// mysql2 through the proxy: text and binary protocol, change of user, pool. Arguments: host, port.

const assert = require('node:assert');
const mysql = require('mysql2/promise');

const [host, port] = [process.argv[2], Number(process.argv[3])];
const connect = (more) =>
  mysql.createConnection({ host, port, user: 'clear', password: 'clear-pw', database: 'test', ...more });
const value = async (connection, sql, values) => Object.values((await connection.query(sql, values))[0][0])[0];
const failsWith = (errno, promise) =>
  promise.then(() => assert.fail(`no error ${errno}`), (error) => assert.strictEqual(error.errno, errno, error.message));

async function main() {
  const connection = await connect();
  assert.strictEqual(await value(connection, 'select ?', ['žluťoučký 🐬']), 'žluťoučký 🐬');

  await connection.query('create table js (id int primary key auto_increment, v varchar(40), n bigint)');
  for (let i = 0; i < 10; i++) {
    const [result] = await connection.execute('insert into js (v, n) values (?, ?)', [i % 2 ? null : `č${i}`, i]);
    assert.strictEqual(result.insertId, i + 1);
  }
  const [rows] = await connection.execute('select v, n from js where id > ? order by id', [8]);
  assert.deepStrictEqual(rows.map((row) => ({ ...row })), [{ v: 'č8', n: 8 }, { v: null, n: 9 }]);
  await failsWith(1146, connection.execute('select * from nothing where a = ?', [1]));
  await failsWith(1064, connection.query('selekt'));

  await connection.beginTransaction();
  await connection.execute('delete from js where id > ?', [0]);
  await connection.rollback();
  assert.strictEqual(await value(connection, 'select count(*) from js'), 10);

  const [results] = await connection.query('call two_results()');
  assert.deepStrictEqual(results.slice(0, 2).map((set) => set.map((row) => Object.values(row)[0])), [[1], [2, 3]]);

  await connection.changeUser({ user: 'tls', password: 'tls-pw', database: 'other' });
  assert.strictEqual(await value(connection, 'select concat(current_user(), database())'), 'tls@%other');
  await connection.changeUser({ user: 'clear', password: 'clear-pw', database: 'test' });
  assert.strictEqual(await value(connection, 'select current_user()'), 'clear@%');
  await connection.ping();

  const large = 'x'.repeat(17000000);
  assert.strictEqual(await value(connection, 'select length(?)', [large]), large.length);
  await connection.query('drop table js');
  await connection.end();

  await failsWith(1045, connect({ password: 'wrong' }));
  await failsWith(1045, connect({ user: 'nobody' }));
  const several = await connect({ multipleStatements: true });
  const [sets] = await several.query('select 1 as a; select 2 as a');
  assert.deepStrictEqual(sets.map((set) => set[0].a), [1, 2]);
  await several.end();
  for (const ssl of [undefined, { rejectUnauthorized: false }]) {
    const other = await connect({ user: 'hashed', password: 'hashed-pw', ssl });
    assert.strictEqual(await value(other, 'select current_user()'), 'hashed@%');
    await other.end();
  }

  const pool = mysql.createPool({ host, port, user: 'clear', password: 'clear-pw', connectionLimit: 5 });
  const answers = await Promise.all([...Array(50).keys()].map((i) => value(pool, 'select ? + sleep(0.001)', [i])));
  assert.deepStrictEqual(answers.map(Number), [...Array(50).keys()]);
  await pool.end();
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
