"""mysql-connector-python through the proxy: text and binary protocol, change of user, reset. Arguments: host, port."""

import datetime
import decimal
import io
import sys
import warnings

import mysql.connector
from mysql.connector import errors

HOST, PORT = sys.argv[1], int(sys.argv[2])


def connect(**more):
    # Its own protocol code; the other one, in C, is the same library as in the `mysql` client.
    wanted = {"host": HOST, "port": PORT, "user": "clear", "password": "clear-pw", "database": "test", "use_pure": True}
    return mysql.connector.connect(**{**wanted, **more})


def value(connection, sql, arguments=(), **options):
    with connection.cursor(**options) as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchone()[0]


def fails_with(number, act):
    try:
        act()
    except errors.Error as error:
        assert error.errno == number, error
    else:
        raise AssertionError(f"no error {number}")


def prepared(connection):
    with connection.cursor(prepared=True) as cursor:
        cursor.execute("create table cp (id int primary key, v varchar(40), n decimal(10,2), t datetime(6), b blob)")
        now = datetime.datetime(2026, 1, 2, 3, 4, 5, 678900)
        insert = "insert into cp values (%s, %s, %s, %s, %s)"
        for i in range(20):
            cursor.execute(insert, (i, None if i % 2 else f"č{i}", decimal.Decimal("1.25"), now, bytes([i, 0, 255])))
        connection.commit()
        for i in (3, 4):
            cursor.execute("select v, n, t, b from cp where id = %s", (i,))
            row = cursor.fetchone()
            assert row[0] == (None if i % 2 else f"č{i}"), row
            assert row[1] == decimal.Decimal("1.25") and row[2] == now and bytes(row[3]) == bytes([i, 0, 255]), row
            assert cursor.fetchone() is None
        # A parameter that is a stream travels in pieces ahead of the rest.
        cursor.execute(insert, (100, "long", decimal.Decimal("0"), now, io.BytesIO(b"z" * 50000)))
        cursor.execute("select length(b), b = repeat('z', 50000) from cp where id = %s", (100,))
        assert cursor.fetchone() == (50000, 1)
        cursor.execute("delete from cp where id = %s", (100,))
        connection.commit()
    # Two of them open at a time, used in turns.
    with connection.cursor(prepared=True) as one, connection.cursor(prepared=True) as two:
        for i in range(5):
            one.execute("select count(*) from cp where id < %s", (i,))
            assert one.fetchone()[0] == i
            two.execute("select max(id) from cp where id <= %s", (i,))
            assert two.fetchone()[0] == i
    fails_with(1146, lambda: value(connection, "select * from nothing where a = %s", (1,), prepared=True))
    assert value(connection, "select %s + 1", (41,), prepared=True) == 42


def session(connection):
    with connection.cursor() as cursor:
        cursor.execute("set @a = 5")
        cursor.execute("start transaction")
        cursor.execute("delete from cp")
    connection.rollback()
    assert value(connection, "select count(*) from cp") == 20
    connection.rollback()
    connection.reset_session()
    assert value(connection, "select @a") is None
    connection.rollback()
    connection.cmd_change_user(username="tls", password="tls-pw", database="other")
    assert value(connection, "select current_user()") == "tls@%"
    assert value(connection, "select database()") == "other"
    connection.rollback()
    connection.cmd_change_user(username="hashed", password="hashed-pw", database="test")
    assert value(connection, "select current_user()") == "hashed@%"
    connection.rollback()
    connection.cmd_change_user(username="clear", password="clear-pw", database="test")
    assert value(connection, "select current_user()") == "clear@%"
    connection.rollback()


connection = connect()
assert value(connection, "select %s", ("žluťoučký 🐬",)) == "žluťoučký 🐬"
prepared(connection)
session(connection)
with connection.cursor() as cursor:
    cursor.callproc("two_results")
    with warnings.catch_warnings(action="ignore"):
        results = [result.fetchall() for result in cursor.stored_results()]
    assert results == [[(1,)], [(2,), (3,)]], results
    cursor.execute("drop table cp")
fails_with(1064, lambda: value(connection, "selekt"))
fails_with(1045, lambda: connect(password="wrong"))
fails_with(1045, lambda: connect(user="nobody"))
connection.ping(reconnect=False)
connection.close()
connection.reconnect()
assert value(connection, "select 1") == 1
connection.close()
with connect(user="hashed", password="hashed-pw") as other:
    assert value(other, "select current_user()") == "hashed@%"
# Fast now: nothing but a token goes over the wire.
with connect(user="hashed", password="hashed-pw", ssl_disabled=True) as other:
    assert value(other, "select current_user()") == "hashed@%"
print("ok")
