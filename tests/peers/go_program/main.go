// A team's program: goose's library, and one migration in Go. `program DIR VERSION` applies up to VERSION.
package main

import (
	"context"
	"database/sql"
	"log"
	"os"
	"strconv"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"
)

func main() {
	goose.AddNamedMigrationContext("00002_move.go", up, down)
	version, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	driver, dialect, address := "pgx", "postgres", os.Getenv("SHOP_URL")
	if path, found := strings.CutPrefix(address, "sqlite://"); found {
		driver, dialect, address = "sqlite", "sqlite3", path
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		log.Fatal(err)
	}
	if err := goose.SetDialect(dialect); err != nil {
		log.Fatal(err)
	}
	if err := goose.UpTo(db, os.Args[1], version); err != nil {
		log.Fatal(err)
	}
}

func up(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO names SELECT upper(name) FROM names")
	return err
}

func down(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM names")
	return err
}
