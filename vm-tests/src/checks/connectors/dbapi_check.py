"""One scenario for every driver of Python's DB-API. Arguments: driver, host, port, user, password, TLS, compression."""

import hashlib
import importlib
import sys

DRIVER, HOST, PORT, USER, PASSWORD, TLS, COMPRESS = sys.argv[1:]
TLS, COMPRESS = TLS == "1", COMPRESS == "1"
driver = importlib.import_module(DRIVER)
BLOB = bytes(range(256)) * 66_500  # 17,024,000 bytes: two frames
WORD = "žluťoučký 🐬 日本"


def connect(**more):
    options = {"host": HOST, "port": int(PORT), "user": USER, "password": PASSWORD, "charset": "utf8mb4"}
    if DRIVER == "mysql.connector":
        options |= {"use_pure": True, "collation": "utf8mb4_general_ci", "compress": COMPRESS, "ssl_disabled": not TLS, "allow_local_infile": True}
        if "database" in more:
            options["database"] = more.pop("database")
    elif DRIVER == "pymysql":
        options |= {"local_infile": True, "max_allowed_packet": 64 << 20}
        options |= {"ssl": {"check_hostname": False}} if TLS else {"ssl_disabled": True}
    else:
        options |= {"passwd": options.pop("password"), "local_infile": 1, **({"compress": 1} if COMPRESS else {})}
        options |= {"ssl": {"cipher": "HIGH"}} if TLS else {}
    return driver.connect(**{**options, **more})


def rows(cursor, sql, arguments=None):
    cursor.execute(sql, arguments) if arguments else cursor.execute(sql)
    return [tuple(bytes(v) if isinstance(v, bytearray) else v for v in row) for row in cursor.fetchall()]


connection = connect(database="test")
cursor = connection.cursor()
table = f"dbapi_{DRIVER.replace('.', '_')}"
cursor.execute(f"create table {table} (id int primary key, v varchar(40) character set utf8mb4, b longblob)")
assert rows(cursor, "select %s", (WORD,)) == [(WORD,)]

cursor.execute(f"insert into {table} values (%s, %s, %s)", (1, WORD, b""))
connection.commit()
cursor.execute(f"insert into {table} values (2, 'gone', '')")
connection.rollback()
assert rows(cursor, f"select id, v from {table}") == [(1, WORD)]

try:
    rows(cursor, "select * from nothing_here")
except driver.Error as error:
    assert error.args[0] == 1146 or getattr(error, "errno", 0) == 1146, error
else:
    raise AssertionError("no error 1146")
connection.rollback()

if DRIVER == "mysql.connector":
    with connection.cursor(prepared=True) as prepared:
        prepared.execute(f"update {table} set b = %s where id = %s", (BLOB, 1))
        # It takes the first frame of a row for all of it, so the blob does not come back.
        prepared.execute(f"select sha2(b, 256), v from {table} where id = %s", (1,))
        digest, word = prepared.fetchone()
        assert digest == hashlib.sha256(BLOB).hexdigest() and word == WORD, (digest, word)
else:
    cursor.execute(f"update {table} set b = %s where id = 1", (BLOB,))
    assert rows(cursor, f"select b from {table} where id = 1") == [(BLOB,)]
connection.commit()

with open(f"{table}.txt", "w") as file:
    file.writelines(f"{i}\t{WORD}\n" for i in range(100, 60_000))
cursor.execute(f"load data local infile '{table}.txt' into table {table} character set utf8mb4 (id, v)")
connection.commit()
assert rows(cursor, f"select count(*), min(v) = max(v) from {table}") == [(59_901, 1)]
cursor.execute(f"select id from {table} order by id")
assert sum(row[0] for row in cursor.fetchall()) == sum(range(100, 60_000)) + 1
cursor.execute(f"drop table {table}")
connection.close()
try:
    connect(password="wrong") if DRIVER != "MySQLdb" else connect(passwd="wrong")
except driver.Error as error:
    assert error.args[0] == 1045 or getattr(error, "errno", 0) == 1045, error
else:
    raise AssertionError("a wrong password")
print("ok")
