package object

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/minidoor/minidoor/object/sqlitefile"
)

// source is where the driver connects to. write is empty where transactions use the same connections as reads.
type source struct{ read, write string }

// source turns Casdoor's way to name a database into the driver's, and makes the database when it is missing, or
// returns a NotMadeError where that is not ours to do. Its errors do not hold the data source name, which may hold a
// password.
func (d dialect) source(ctx context.Context, cfg StoreConfig) (source, error) {
	switch d.driver {
	case "sqlite":
		if cfg.asItIs {
			return sqliteSourceAsItIs(cfg.DataSourceName), sqliteFileIsThere(cfg.DataSourceName)
		}
		if cfg.Beside {
			return sqliteSource(cfg.DataSourceName), sqliteFileIsThere(cfg.DataSourceName)
		}
		return sqliteSource(cfg.DataSourceName), makeSQLiteFile(cfg.DataSourceName)
	case "mysql":
		return mysqlSource(ctx, cfg)
	default:
		return postgresSource(ctx, cfg)
	}
}

// open makes a pool of connections to one of the source's names.
func (d dialect) open(name string) (*sql.DB, error) {
	if d.driver != "mysql" {
		return sql.Open(d.driver, name)
	}
	dsn, err := mysql.ParseDSN(name)
	if err != nil {
		return nil, err
	}
	dsn.Logger = &mysql.NopLogger{} // would print to standard error what it returns too, in a form of its own
	connector, err := mysql.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(mysqlConnector{connector}), nil
}

// nameForXorm is the source's name as xorm reads it, to ask for tables: with the database's name as it is, which
// MySQL's driver escapes, and without the password, which xorm would print where it does not take the name as
// PostgreSQL's driver does.
func (d dialect) nameForXorm(name string) string {
	switch d.driver {
	case "mysql":
		if dsn, err := mysql.ParseDSN(name); err == nil {
			return "/" + dsn.DBName + "?charset=utf8mb4"
		}
	case "pgx":
		if cfg, err := pgx.ParseConfig(name); err == nil {
			return (&url.URL{Scheme: "postgres", Path: "/" + cfg.Database}).String()
		}
	}
	return name
}

// mysqlConnector names the error of a handshake that breaks: the driver returns one that it keeps to itself.
type mysqlConnector struct{ driver.Connector }

func (c mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil && !IsUnavailable(err) {
		err = errors.Join(driver.ErrBadConn, err)
	}
	return conn, err
}

// sqliteSource asks for a write-ahead log that is synced at each commit: what is acknowledged survives a power cut,
// and readers never wait for the writer. The shared cache of Casdoor's default would make them wait.
func sqliteSource(name string) source {
	file, params := sqlitefile.Parse(name)
	params.Del("cache")
	ownCache := slices.ContainsFunc(params["_pragma"], func(p string) bool { return strings.HasPrefix(p, "cache_size") })
	params["_pragma"] = append(params["_pragma"], "busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)")
	common := "file:" + file + "?" + params.Encode()
	// A checkpointer does what wal_autocheckpoint would. A log that has grown while somebody read is cut to 64 MB when
	// it starts anew.
	s := source{
		read:  common,
		write: common + "&_txlock=immediate&_pragma=wal_autocheckpoint(0)&_pragma=journal_size_limit(67108864)",
	}
	if !ownCache {
		// So much holds most inner pages of the indexes, and what a transaction changes; the system keeps the others,
		// and ours are not to outgrow a crowd. The driver sorts the pragmas: each source can name one size only.
		s.read += "&_pragma=cache_size(-512)"
		s.write += "&_pragma=cache_size(-4096)"
	}
	return s
}

// sqliteSourceAsItIs is sqliteSource where nothing is to be changed: neither made nor switched to a write-ahead log.
func sqliteSourceAsItIs(name string) source {
	file, _ := sqlitefile.Parse(name)
	read := "file:" + file + "?mode=rw&_pragma=busy_timeout(10000)&_pragma=query_only(1)"
	return source{read: read, write: read}
}

// sqliteFileIsThere returns a NotMadeError for a file that could be made, and is not there.
func sqliteFileIsThere(name string) error {
	path, err := sqlitefile.Path(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return err
		}
		return NotMadeError("file " + absolute(path))
	}
	return nil
}

// DiagnoseFiles says which files of a SQLite database may not be written to. Nothing of the process has it open
// meanwhile: to close a file takes SQLite's locks away.
func DiagnoseFiles(cfg StoreConfig) ([]Finding, error) {
	path, err := sqlitefile.Path(cfg.DataSourceName)
	if d, known := dialectOf(cfg.DriverName); known != nil || d.driver != "sqlite" || err != nil {
		return nil, err
	}
	var all []Finding
	for _, end := range []string{"", "-wal", "-shm"} {
		file, err := os.OpenFile(path+end, os.O_WRONLY, 0)
		if err == nil {
			err = file.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, found(Problem, "database: it cannot be written to: %v", err))
		}
	}
	return all, nil
}

// absolute returns a path that says where it is: who has started in the wrong folder is to see it.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// makeSQLiteFile makes the database's file where it is missing, for its owner alone: it holds secrets. The log beside
// it gets the same mode.
func makeSQLiteFile(name string) error {
	_, params := sqlitefile.Parse(name)
	path, err := sqlitefile.Path(name)
	if err != nil {
		return err
	}
	if path == "" || path == ":memory:" || params.Has("mode") && params.Get("mode") != "rwc" {
		return nil // SQLite knows what to do
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func mysqlSource(ctx context.Context, cfg StoreConfig) (source, error) {
	dsn, err := mysqlDSN(cfg)
	if err != nil {
		return source{}, err
	}
	read := dsn.FormatDSN()
	dsn.MultiStatements, dsn.InterpolateParams = true, true // see pipelineMySQL
	return source{read: read, write: dsn.FormatDSN()}, makeMySQLDatabase(ctx, *dsn, cfg.asItIs || cfg.Beside)
}

func mysqlDSN(cfg StoreConfig) (*mysql.Config, error) {
	dsn, err := mysql.ParseDSN(cfg.DataSourceName)
	if err != nil {
		return nil, errors.New("dataSourceName: not a MySQL data source name: want user:password@tcp(host:port)/")
	}
	if err := dsn.Apply(mysql.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	// Another server has taken the place of one that may only be read: the driver is to look for that one.
	dsn.RejectReadOnly = true
	if dsn.Params == nil {
		dsn.Params = map[string]string{}
	}
	// What a server may have otherwise: a value that does not fit is refused, and not cut; an UPDATE or DELETE needs no
	// key; a statement is a transaction.
	dsn.Params["sql_mode"] = "CONCAT(" + cmp.Or(dsn.Params["sql_mode"], "@@sql_mode") + ", ',STRICT_TRANS_TABLES')"
	dsn.Params["sql_safe_updates"], dsn.Params["autocommit"] = "0", "1"
	dsn.ColumnsWithAlias = false // a column is asked for by its name
	dsn.ClientFoundRows = false  // rows affected are rows changed: an INSERT that met another row affects none
	if dsn.DBName == "" {
		dsn.DBName = cfg.DBName
	}
	return dsn, nil
}

// makeMySQLDatabase makes the database where it is missing, or says so where it is only looked for.
func makeMySQLDatabase(ctx context.Context, dsn mysql.Config, look bool) error {
	name := dsn.DBName
	dsn.DBName = ""
	connector, err := mysql.NewConnector(&dsn)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	var known int
	const exists = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name=?"
	err = db.QueryRowContext(ctx, exists, name).Scan(&known)
	if err != nil || known > 0 {
		return err
	}
	if look {
		return NotMadeError("database " + name)
	}
	quoted := "`" + strings.ReplaceAll(name, "`", "``") + "`"
	_, err = db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+quoted+" DEFAULT CHARACTER SET utf8mb4")
	return err
}

func postgresSource(ctx context.Context, cfg StoreConfig) (source, error) {
	dsn, err := postgresDSN(cfg)
	if err != nil {
		return source{}, err
	}
	parsed, err := pgx.ParseConfig(dsn)
	if err != nil {
		return source{}, errNoPostgresDSN
	}
	if cfg.DBName != "" && cfg.DBName != parsed.Database && !cfg.Beside { // a Casdoor goes by dataSourceName
		return source{}, errors.New("dataSourceName and dbName name different databases: take the wrong one out")
	}
	return source{read: dsn}, makePostgresDatabase(ctx, parsed, cfg.asItIs || cfg.Beside)
}

var errNoPostgresDSN = errors.New("dataSourceName: not a PostgreSQL data source name: want user=… host=… port=…, or a URL")

func postgresDSN(cfg StoreConfig) (string, error) {
	dsn := cfg.DataSourceName
	keywords := !strings.Contains(dsn, "://")
	if keywords {
		// Casdoor's own example ends in "dbname=", to which it appends the name.
		dsn = strings.TrimSuffix(strings.TrimSpace(dsn), "dbname=")
	}
	switch {
	case cfg.DBName == "":
		return dsn, nil
	case keywords:
		// Of two names the last one counts: as for Casdoor, one that is given in the data source.
		name := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(cfg.DBName)
		return fmt.Sprintf("dbname='%s' %s", name, strings.TrimSpace(dsn)), nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errNoPostgresDSN
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/" + cfg.DBName
	}
	return u.String(), nil
}

// makePostgresDatabase is makeMySQLDatabase for PostgreSQL.
func makePostgresDatabase(ctx context.Context, cfg *pgx.ConnConfig, look bool) error {
	name := cfg.Database
	db := stdlib.OpenDB(*cfg)
	err := db.PingContext(ctx)
	_ = db.Close()
	const noSuchDatabase = "3D000"
	if sqlState(err) != noSuchDatabase {
		return err
	}
	if look {
		return NotMadeError("database " + name)
	}
	cfg.Database = "postgres"
	db = stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	const duplicateDatabase, uniqueViolation = "42P04", "23505" // another instance was faster
	if state := sqlState(err); state == duplicateDatabase || state == uniqueViolation {
		return nil
	}
	return err
}
