// A team's program with golang-migrate's library on a connection of its own. `program DIR VERSION` migrates there.
package main

import (
	"database/sql"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/postgres"
	"github.com/golang-migrate/migrate/v4/database/sqlite"
	_ "github.com/golang-migrate/migrate/v4/source/file"
)

func main() {
	version, err := strconv.ParseUint(os.Args[2], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	name, driver, err := connected(os.Getenv("SHOP_URL"))
	if err != nil {
		log.Fatal(err)
	}
	library, err := migrate.NewWithDatabaseInstance("file://"+os.Args[1], name, driver)
	if err != nil {
		log.Fatal(err)
	}
	if err := library.Migrate(uint(version)); err != nil && err != migrate.ErrNoChange {
		log.Fatal(err)
	}
}

func connected(url string) (string, database.Driver, error) {
	if path, found := strings.CutPrefix(url, "sqlite://"); found {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			return "", nil, err
		}
		driver, err := sqlite.WithInstance(db, &sqlite.Config{})
		return "sqlite", driver, err
	}
	db, err := sql.Open("postgres", url)
	if err != nil {
		return "", nil, err
	}
	driver, err := postgres.WithInstance(db, &postgres.Config{})
	return "postgres", driver, err
}
