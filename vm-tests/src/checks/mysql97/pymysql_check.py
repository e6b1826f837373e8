"""PyMySQL through the proxy: connect, query, transaction, error, reconnect. Arguments: host, port."""

import sys

import pymysql

HOST, PORT = sys.argv[1], int(sys.argv[2])


def connect(user="clear", password="clear-pw", **more):
    return pymysql.connect(host=HOST, port=PORT, user=user, password=password, charset="utf8mb4", **more)


def value(connection, sql, arguments=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchone()[0]


def fails_with(code, act):
    try:
        act()
    except pymysql.MySQLError as error:
        assert error.args[0] == code, error
    else:
        raise AssertionError(f"no error {code}")


connection = connect(database="test")
assert value(connection, "select %s", ("žluťoučký 🐬",)) == "žluťoučký 🐬"

with connection.cursor() as cursor:
    cursor.execute("create table py (id int primary key auto_increment, v varchar(40))")
    cursor.executemany("insert into py (v) values (%s)", [(f"row {i}",) for i in range(1000)])
    assert cursor.rowcount == 1000, cursor.rowcount
    cursor.execute("insert into py (v) values ('last')")
    assert cursor.lastrowid == 1001, cursor.lastrowid
connection.rollback()
assert value(connection, "select count(*) from py") == 0
with connection.cursor() as cursor:
    cursor.execute("insert into py (v) values ('kept')")
connection.commit()
assert value(connection, "select count(*) from py") == 1

fails_with(1064, lambda: value(connection, "selekt"))
fails_with(1146, lambda: value(connection, "select * from nothing"))
fails_with(1045, lambda: connect(password="wrong"))
fails_with(1045, lambda: connect(user="nobody"))

with connection.cursor() as cursor:
    cursor.callproc("two_results")
    assert cursor.fetchall() == ((1,),)
    assert cursor.nextset() and cursor.fetchall() == ((2,), (3,))

with connection.cursor(pymysql.cursors.SSCursor) as cursor:
    cursor.execute("with recursive n as (select 1 i union all select i + 1 from n where i < 1000) select i from n")
    assert sum(row[0] for row in cursor) == 500500

large = "x" * 17_000_000
assert value(connection, "select length(%s)", (large,)) == len(large)
assert len(value(connection, "select repeat('y', 17000000)")) == 17_000_000

connection.select_db("other")
assert value(connection, "select database()") == "other"
connection.select_db("test")
connection.ping(reconnect=False)
own = value(connection, "select connection_id()")
connection.close()
connection.connect()
assert value(connection, "select count(*) from py") == 1
assert value(connection, "select connection_id()") != own

for options in ({"ssl_disabled": True}, {"ssl": {"check_hostname": False}}):
    with connect(user="hashed", password="hashed-pw", database="test", **options) as other:
        assert value(other, "select current_user()") == "hashed@%"

with connection.cursor() as cursor:
    cursor.execute("drop table py")
print("ok")
