<?php
// The scenario in PHP with mysqlnd. Arguments: host, port, user, password, TLS, compression.
[, $host, $port, $user, $password, $tls, $compress] = $argv;
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
ini_set('memory_limit', '512M');
const WORD = 'žluťoučký 🐬 日本';
$flags = ($compress ? MYSQLI_CLIENT_COMPRESS : 0) | ($tls ? MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT : 0);

function check($holds, $what) { if (!$holds) { throw new Exception($what); } }
function connect($password) {
    global $host, $port, $user, $flags;
    $db = mysqli_init();
    $db->options(MYSQLI_OPT_LOCAL_INFILE, 1);
    $db->real_connect($host, $user, $password, 'test', (int)$port, null, $flags);
    $db->set_charset('utf8mb4');
    return $db;
}
function fails_with($code, $act) {
    try { $act(); } catch (mysqli_sql_exception $e) { check($e->getCode() === $code, $e); return; }
    throw new Exception("no error $code");
}

$db = connect($password);
$db->query('create table php_stack (id int primary key, v varchar(40) character set utf8mb4, b longblob)');
foreach ([[1, true], [2, false]] as [$id, $keep]) {
    $db->begin_transaction();
    $statement = $db->prepare("insert into php_stack values (?, ?, '')");
    $statement->execute([$id, WORD]);
    $keep ? $db->commit() : $db->rollback();
}
check($db->query('select count(*), max(v) from php_stack')->fetch_row() === ['1', WORD], 'the transactions');
fails_with(1146, fn () => $db->query('select * from nothing_here'));
$blob = str_repeat('0123456789abcdef', 1064000);
$statement = $db->prepare('update php_stack set b = ? where id = ?');
$null = null; $id = 1;
$statement->bind_param('bi', $null, $id);
foreach (str_split($blob, 1 << 20) as $piece) { $statement->send_long_data(0, $piece); }
$statement->execute();
$statement = $db->prepare('select b from php_stack where id = ?');
$statement->execute([1]);
check($statement->get_result()->fetch_row()[0] === $blob, 'the blob');
check($db->query("select length('$blob')")->fetch_row() === ['17024000'], 'a long statement');
$db->multi_query('select 1; select 2, 3');
$db->store_result()->free();
$db->next_result();
check($db->store_result()->fetch_row() === ['2', '3'], 'the second result');
$lines = '';
for ($i = 100; $i < 60000; $i++) { $lines .= "$i\t" . WORD . "\n"; }
file_put_contents('php_stack.txt', $lines);
$db->query("load data local infile 'php_stack.txt' into table php_stack character set utf8mb4 (id, v)");
check($db->query('select count(*), max(v) from php_stack')->fetch_row() === ['59901', WORD], 'the file');
$db->query('drop table php_stack');
fails_with(1045, fn () => connect('wrong'));
echo "ok\n";
