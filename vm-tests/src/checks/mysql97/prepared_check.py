"""Binary prepared statements that share few backend connections. Arguments: host, port.

mysql-connector-python's own protocol code sends the commands one by one, so that this says exactly what goes over the wire.
"""

import struct
import sys

import mysql.connector
from mysql.connector import errors
from mysql.connector.constants import ServerCmd

HOST, PORT = sys.argv[1], int(sys.argv[2])
CURSOR = 1
# The connector has query attributes: an execution has a count and names of parameters.
COUNTED = 8


class Client:
    """One connection, its commands as methods."""

    def __init__(self, **more):
        wanted = {"host": HOST, "port": PORT, "user": "clear", "password": "clear-pw", "database": "test", "use_pure": True}
        self.link = mysql.connector.connect(**{**wanted, "autocommit": True, **more})
        self.columns = []

    def query(self, sql):
        with self.link.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.with_rows else None

    def value(self, sql):
        return self.query(sql)[0][0]

    def prepare(self, sql):
        return self.link.cmd_stmt_prepare(sql.encode())["statement_id"]

    def execute(self, statement, *values, cursor=0):
        """Rows, or None; with a cursor nothing is read but the columns."""
        types = [(f"p{n}", None, None, None, 1, 0, 0) for n in range(len(values))]
        result = self.link.cmd_stmt_execute(statement, values, types, cursor)
        if not isinstance(result, tuple):
            return None
        self.columns = result[1]
        self.link.unread_result = False
        return None if cursor else self.rows()

    def rows(self):
        rows, _ = self.link._protocol.read_binary_result(self.link._socket, self.columns, count=-1)
        text = lambda value: value.decode() if isinstance(value, (bytes, bytearray)) else value
        return [tuple(text(value) for value in row) for row in rows]

    def fetch(self, statement, count):
        """The rows of one COM_STMT_FETCH."""
        self.link._send_cmd(ServerCmd.STMT_FETCH, struct.pack("<II", statement, count), expect_response=False)
        return self.rows()

    def execute_raw(self, payload):
        """An execution as it goes over the wire."""
        self.columns = self.link._handle_binary_result(self.link._send_cmd(ServerCmd.STMT_EXECUTE, payload))[1]
        return self.rows()


def fails_with(number, act):
    try:
        act()
    except errors.Error as error:
        assert error.errno == number, error
    else:
        raise AssertionError(f"no error {number}")


def status(client, name):
    return int(client.query(f"show global status like '{name}'")[0][1])


def many_clients_few_connections():
    clients = [Client() for _ in range(30)]
    statements = [(client, client.prepare("select id, v from pc where id = ?"), n) for n, client in enumerate(clients)]
    for _ in range(3):
        for client, statement, n in statements:
            assert client.execute(statement, n) == [(n, f"v{n}")], n
    watcher = clients[0]
    connections = watcher.value("select count(*) from information_schema.processlist where user = 'clear'")
    assert connections <= 8, f"{connections} backend connections for 30 idle clients"
    for client, statement, _ in statements:
        client.link.cmd_stmt_close(statement)
        fails_with(1243, lambda: client.execute(statement, 1))
    for client in clients:
        client.link.close()


def open_at_server(client):
    # A statement that the server prepares again by itself counts as a prepare, too.
    prepared, again, closed = (status(client, f"Com_stmt_{what}") for what in ("prepare", "reprepare", "close"))
    return prepared - again - closed


def the_server_keeps_few():
    client = Client()
    before = open_at_server(client)
    statements = [client.prepare(f"select ? + {n}") for n in range(100)]
    for _ in range(2):
        for n, statement in enumerate(statements):
            assert client.execute(statement, 1) == [(n + 1,)], n
    for statement in statements:
        client.link.cmd_stmt_close(statement)
    kept, count = open_at_server(client) - before, status(client, "Prepared_stmt_count")
    assert kept <= 8 * 20 and count <= 8 * 20, (kept, count)
    client.link.close()


def types_are_remembered():
    one, two = Client(), Client()
    ours, theirs = one.prepare("select hex(?)"), two.prepare("select hex(?)")
    again = struct.pack("<IBIBBB", ours, COUNTED, 1, 1, 0, 0)
    fails_with(1210, lambda: one.execute_raw(again + b"\x07"))
    assert one.execute(ours, 7) == [("7",)]
    assert two.execute(theirs, "A") == [("41",)]
    # Without types: those of this client's last execution count, not those of whoever executed it meanwhile.
    rows = one.execute_raw(again + b"\x08")
    assert rows == [("8",)], rows
    one.link.close()
    two.link.close()


def attributes_beside_parameters():
    client = Client()
    statement = client.prepare("select hex(?)")
    head = struct.pack("<IBI", statement, COUNTED, 1)
    # An attribute k = "v" beside the parameter.
    both = b"\x02\x00\x01" + b"\x01\x00\x00" + b"\xfe\x00\x01k" + b"\x09" + b"\x01v"
    assert client.execute_raw(head + both) == [("9",)]
    client.link.close()


def cursors():
    client = Client()
    statement, other = client.prepare("select id from pc order by id"), client.prepare("select id from pc order by id")
    fails_with(1421, lambda: client.fetch(statement, 1))
    client.execute(statement, cursor=CURSOR)
    assert client.fetch(statement, 3) == [(0,), (1,), (2,)]
    assert len(client.execute(other)) == 50, "the same text without a cursor, between two fetches"
    client.execute(other, cursor=CURSOR)
    assert client.fetch(other, 2) == [(0,), (1,)]
    assert client.value("select 5") == 5
    assert client.fetch(statement, 2) == [(3,), (4,)]
    assert len(client.fetch(statement, 1000)) == 45
    fails_with(1421, lambda: client.fetch(statement, 1))
    client.link.cmd_stmt_reset(other)
    fails_with(1421, lambda: client.fetch(other, 1))
    for _ in range(3):
        client.execute(other, cursor=CURSOR)
        assert client.fetch(other, 1) == [(0,)]
    client.link.cmd_stmt_close(other)
    client.link.close()


def long_data():
    client = Client()
    statement = client.prepare("select length(?), upper(?)")
    piece = b"z" * 100000
    for _ in range(200):
        client.link._socket.send(
            bytes([ServerCmd.STMT_SEND_LONG_DATA]) + struct.pack("<IH", statement, 0) + piece, 0, 0
        )
    execution = struct.pack("<IBIBBB", statement, COUNTED, 1, 2, 0, 1) + b"\xfc\x00\x00\xfd\x00\x00" + b"\x01x"
    assert client.execute_raw(execution) == [(20000000, "X")]
    client.link.close()


def tables_change():
    client, other = Client(), Client()
    client.query("create table pd (a int)")
    statement = client.prepare("select * from pd")
    client.execute(statement)
    assert len(client.columns) == 1
    other.query("alter table pd add b int")
    client.execute(statement)
    assert len(client.columns) == 2
    assert client.link.cmd_stmt_prepare(b"select * from pd")["num_columns"] == 2
    other.query("drop table pd")
    fails_with(1146, lambda: client.execute(statement))
    fails_with(1146, lambda: client.prepare("select * from pd"))
    client.query("create temporary table pd (a int, b int, c int)")
    assert client.link.cmd_stmt_prepare(b"select * from pd")["num_columns"] == 3
    fails_with(1146, lambda: other.prepare("select * from pd"))
    client.link.close()
    other.link.close()


def sessions():
    client = Client()
    here, name = client.prepare("select database(), v from pc where id = 1"), client.prepare("select database()")
    client.query("use other")
    assert client.execute(here) == [("test", "v1")] and client.execute(name) == [("test",)]
    assert client.execute(client.prepare("select database()")) == [("other",)]
    quoted = 'select "a" from (select 1 as a) t'
    plain = client.prepare(quoted)
    client.query("set sql_mode = 'ANSI_QUOTES'")
    assert client.execute(client.prepare(quoted)) == [(1,)]
    assert client.execute(plain) == [("a",)]
    client.execute(client.prepare("set @kept = ?"), 42)
    assert client.value("select @kept") == 42
    client.execute(client.prepare("set sql_mode = ''"))
    assert client.value("select @@sql_mode") == ""
    client.query("begin")
    insert = client.prepare("insert into test.pc values (?, 'in a transaction')")
    client.execute(insert, 1000)
    assert client.value("select count(*) from test.pc where id = 1000") == 1
    client.query("rollback")
    assert client.value("select count(*) from test.pc where id = 1000") == 0
    fails_with(1295, lambda: client.prepare("kill 1"))
    fails_with(1064, lambda: client.prepare("selekt"))
    fails_with(1062, lambda: client.execute(insert, 1))
    statement = client.prepare("select 1")
    client.link.cmd_reset_connection()
    fails_with(1243, lambda: client.execute(statement))
    client.link.close()


admin = Client()
admin.query("create table pc (id int primary key, v varchar(40))")
admin.query("insert into pc with recursive n as (select 0 i union all select i + 1 from n where i < 49) select i, concat('v', i) from n")
many_clients_few_connections()
the_server_keeps_few()
types_are_remembered()
attributes_beside_parameters()
cursors()
long_data()
tables_change()
sessions()
admin.query("drop table pc")
print("ok")
