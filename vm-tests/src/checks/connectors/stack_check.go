// The scenario in Go with go-sql-driver/mysql. Arguments: host, port, user, password, TLS, compression (not known to it).
package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
)

const word = "žluťoučký 🐬 日本"

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func failsWith(number uint16, err error) {
	var said *mysql.MySQLError
	if !errors.As(err, &said) || said.Number != number {
		panic(fmt.Sprintf("not error %d: %v", number, err))
	}
}

func open(password string) *sql.DB {
	tls := "false"
	if os.Args[5] == "1" {
		tls = "skip-verify"
	}
	source := fmt.Sprintf("%s:%s@tcp(%s:%s)/test?charset=utf8mb4&multiStatements=true&maxAllowedPacket=67108864&tls=%s",
		os.Args[3], password, os.Args[1], os.Args[2], tls)
	db, err := sql.Open("mysql", source)
	must(err)
	db.SetMaxOpenConns(4)
	return db
}

func main() {
	db := open(os.Args[4])
	run := func(query string, arguments ...any) {
		_, err := db.Exec(query, arguments...)
		must(err)
	}
	run("create table go_stack (id int primary key, v varchar(40) character set utf8mb4, b longblob)")
	for id, keep := range map[int]bool{1: true, 2: false} {
		tx, err := db.Begin()
		must(err)
		_, err = tx.Exec("insert into go_stack values (?, ?, ?)", id, word, "")
		must(err)
		if keep {
			must(tx.Commit())
		} else {
			must(tx.Rollback())
		}
	}
	var count int
	var text string
	must(db.QueryRow("select count(*), max(v) from go_stack").Scan(&count, &text))
	if count != 1 || text != word {
		panic(fmt.Sprint(count, text))
	}
	_, err := db.Query("select * from nothing_here")
	failsWith(1146, err)
	blob := bytes.Repeat([]byte("0123456789abcdef"), 1_064_000)
	run("update go_stack set b = ? where id = ?", blob, 1)
	statement, err := db.Prepare("select b from go_stack where id = ?")
	must(err)
	var back []byte
	must(statement.QueryRow(1).Scan(&back))
	if !bytes.Equal(back, blob) {
		panic("the blob is another")
	}
	rows, err := db.Query("select 1; select 2, 3")
	must(err)
	for rows.Next() {
	}
	if !rows.NextResultSet() || !rows.Next() {
		panic("no second result")
	}
	var a, b int
	must(rows.Scan(&a, &b))
	must(rows.Close())
	if a != 2 || b != 3 {
		panic(fmt.Sprint(a, b))
	}
	lines := &strings.Builder{}
	for i := 100; i < 60_000; i++ {
		fmt.Fprintf(lines, "%d\t%s\n", i, word)
	}
	must(os.WriteFile("go_stack.txt", []byte(lines.String()), 0o644))
	mysql.RegisterLocalFile("go_stack.txt")
	run("load data local infile 'go_stack.txt' into table go_stack character set utf8mb4 (id, v)")
	must(db.QueryRow("select count(*), max(v) from go_stack").Scan(&count, &text))
	if count != 59_901 || text != word {
		panic(fmt.Sprint(count, text))
	}
	run("drop table go_stack")
	failsWith(1045, open("wrong").Ping())
	fmt.Println("ok")
}
