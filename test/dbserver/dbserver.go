// Package dbserver says where the database servers of tests and of the benchmark are, and reaches a database past the
// store.
package dbserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
	_ "modernc.org/sqlite"             // the database/sql driver "sqlite"

	"github.com/minidoor/minidoor/object"
)

// The environment variables that say where the servers are. The user must be allowed to create databases.
const (
	PostgresVariable = "TEST_POSTGRES_DSN"
	MySQLVariable    = "TEST_MYSQL_DSN"
)

// Where they are otherwise.
const (
	defaultPostgres = "host=127.0.0.1 port=5432 user=postgres sslmode=disable"
	defaultMySQL    = "root@tcp(127.0.0.1:3306)/"
)

// Patience is how long a server may take to answer before it counts as absent. One that is not there refuses at once.
const Patience = 20 * time.Second

// NewName returns a name for a database that does not exist yet.
func NewName(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

// SQLite returns the database in a file.
func SQLite(file string) object.StoreConfig {
	return object.StoreConfig{DriverName: "sqlite", DataSourceName: "file:" + file}
}

// Postgres returns the database of that name, which need not exist. What the variable says may name another one.
func Postgres(name string) object.StoreConfig {
	cfg := object.StoreConfig{
		DriverName: "postgres", DBName: name, DataSourceName: cmp.Or(os.Getenv(PostgresVariable), defaultPostgres),
	}
	if dsn, err := postgresDSN(cfg); err == nil {
		cfg.DataSourceName = dsn
	}
	return cfg
}

// MySQL is Postgres for MySQL and MariaDB.
func MySQL(name string) object.StoreConfig {
	return object.StoreConfig{
		DriverName: "mysql", DBName: name, DataSourceName: cmp.Or(os.Getenv(MySQLVariable), defaultMySQL),
	}
}

// Server returns the server of a database, without the database.
func Server(cfg object.StoreConfig) object.StoreConfig {
	cfg.DBName = ""
	if cfg.DriverName == "postgres" {
		cfg.DBName = "postgres"
	}
	return cfg
}

// Answers returns an error where the server of a database does not answer.
func Answers(ctx context.Context, cfg object.StoreConfig) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	db, err := Open(Server(cfg))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}

// Drop drops a database of a server, whoever uses it.
func Drop(ctx context.Context, cfg object.StoreConfig) error {
	statement := "DROP DATABASE IF EXISTS `" + cfg.DBName + "`"
	if cfg.DriverName == "postgres" {
		statement = `DROP DATABASE IF EXISTS "` + cfg.DBName + `" WITH (FORCE)`
	}
	return Exec(ctx, Server(cfg), statement)
}

// Exec runs statements, one after the other, on a connection of their own.
func Exec(ctx context.Context, cfg object.StoreConfig, statements ...string) error {
	db, err := Open(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%.100s: %w", statement, err)
		}
	}
	return nil
}

// Open returns the database itself.
func Open(cfg object.StoreConfig) (*sql.DB, error) {
	driver, name, err := DataSource(cfg)
	if err != nil {
		return nil, err
	}
	return sql.Open(driver, name)
}

// DataSource returns the names by which database/sql knows the driver and the database.
func DataSource(cfg object.StoreConfig) (driver, name string, err error) {
	switch cfg.DriverName {
	case "sqlite":
		return "sqlite", cfg.DataSourceName + "?_pragma=busy_timeout(10000)", nil
	case "mysql":
		dsn, err := mysql.ParseDSN(cfg.DataSourceName)
		if err != nil {
			return "", "", err
		}
		dsn.DBName = cfg.DBName
		return "mysql", dsn.FormatDSN(), nil
	default:
		name, err = postgresDSN(cfg)
		return "pgx", name, err
	}
}

func postgresDSN(cfg object.StoreConfig) (string, error) {
	if !strings.Contains(cfg.DataSourceName, "://") {
		return cfg.DataSourceName + " dbname='" + cfg.DBName + "'", nil
	}
	u, err := url.Parse(cfg.DataSourceName)
	if err != nil {
		return "", err
	}
	u.Path = "/" + cfg.DBName
	return u.String(), nil
}
