package object

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
	_ "modernc.org/sqlite"             // the database/sql driver "sqlite"
	"xorm.io/xorm"
	xormlog "xorm.io/xorm/log"
	"xorm.io/xorm/names"
)

// StoreConfig says which database to open. The zero value of a field means what its comment says.
type StoreConfig struct {
	DriverName      string // Casdoor's: sqlite, mysql or postgres; empty is an error
	DataSourceName  string // Casdoor's: for MySQL and PostgreSQL it may lack the database, which DBName then names
	DBName          string // the database of MySQL and PostgreSQL; made when it is missing
	TableNamePrefix string // Casdoor's: stands before each table's name; empty: none
	Logger          *slog.Logger
}

// Store is the database: Casdoor's tables and ours. It is safe for concurrent use, by several processes too.
type Store struct {
	dialect dialect
	engine  *xorm.Engine
	reads   *statements
	writes  *statements
	queue   *commitQueue // nil where the database itself shares commits
	log     *slog.Logger
	keyring *keyring

	organizations *table[sdk.Organization]
	applications  *table[sdk.Application]
	providers     *table[sdk.Provider]
	certs         *table[sdk.Cert]
	users         *table[sdk.User]
	tokens        *table[sdk.Token]
	identities    *table[Identity]
	sessions      *table[Session]
	unions        *table[Union]
	options       *table[ProviderOptions]
}

// Open connects to the database, creates or upgrades the schema and, in an empty store, makes what Casdoor makes at
// its first start. It may run in several processes at once. The returned FirstStart is nil unless this call made it.
func Open(ctx context.Context, cfg StoreConfig) (*Store, *FirstStart, error) {
	d, err := dialectOf(cfg.DriverName)
	if err != nil {
		return nil, nil, err
	}
	s := &Store{dialect: d, log: cfg.Logger, keyring: newKeyring()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.connect(ctx, cfg); err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}
	first, err := s.setUp(ctx)
	if err != nil {
		s.Close()
		return nil, nil, fmt.Errorf("set up database: %w", err)
	}
	return s, first, nil
}

// Pool sizes. A sign-in holds a connection for its own transaction only.
const (
	readConnections  = 8
	writeConnections = 16 // of each instance: PostgreSQL by default has 100 for all
	connectionLife   = 30 * time.Minute
)

func (s *Store) connect(ctx context.Context, cfg StoreConfig) error {
	source, err := s.dialect.source(ctx, cfg)
	if err != nil {
		return err
	}
	if s.engine, err = xorm.NewEngine(s.dialect.driver, source.read); err != nil {
		return err
	}
	s.engine.SetTableMapper(names.NewPrefixMapper(names.SnakeMapper{}, cfg.TableNamePrefix))
	s.engine.SetLogger(xormlog.DiscardLogger{})
	db := s.engine.DB().DB
	s.reads = newStatements(db, s.dialect)
	s.writes = s.reads
	db.SetMaxOpenConns(writeConnections)
	db.SetMaxIdleConns(writeConnections)
	db.SetConnMaxLifetime(connectionLife)
	if source.write != "" {
		writer, err := sql.Open(s.dialect.driver, source.write)
		if err != nil {
			return err
		}
		writer.SetMaxOpenConns(1)
		db.SetMaxOpenConns(readConnections)
		db.SetMaxIdleConns(readConnections)
		db.SetConnMaxLifetime(0)
		s.writes = newStatements(writer, s.dialect)
		s.queue = newCommitQueue(s.writes)
	}
	if err := db.PingContext(ctx); err != nil {
		s.Close()
		return err
	}
	return s.mapTables()
}

func (s *Store) mapTables() (err error) {
	mapped := func(e error) { err = errors.Join(err, e) }
	s.organizations, err = newTable[sdk.Organization](s.engine, s.dialect)
	mapTable(s, &s.applications, mapped)
	mapTable(s, &s.providers, mapped)
	mapTable(s, &s.certs, mapped)
	mapTable(s, &s.users, mapped)
	mapTable(s, &s.tokens, mapped)
	mapTable(s, &s.identities, mapped)
	mapTable(s, &s.sessions, mapped)
	mapTable(s, &s.unions, mapped)
	mapTable(s, &s.options, mapped)
	return err
}

func mapTable[T any](s *Store, t **table[T], mapped func(error)) {
	var err error
	*t, err = newTable[T](s.engine, s.dialect)
	mapped(err)
}

// Ping reports whether the database answers and can read.
func (s *Store) Ping(ctx context.Context) error {
	var name string
	err := scanOne(s.read(ctx), []any{&name}, "SELECT name FROM "+s.organizations.name+" LIMIT 1")
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Close waits for the writes that have begun and closes the connections. What comes later fails.
func (s *Store) Close() {
	if s.queue != nil {
		s.queue.close()
		s.writes.closed.Store(true)
		_ = s.writes.db.Close()
	}
	s.reads.closed.Store(true)
	_ = s.engine.Close()
}
