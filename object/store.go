package object

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver "pgx"
	_ "modernc.org/sqlite"             // the database/sql driver "sqlite"
	"xorm.io/xorm"
	"xorm.io/xorm/core"
	xormlog "xorm.io/xorm/log"

	"github.com/minidoor/minidoor/object/sqlitefile"
)

// StoreConfig says which database to open. The zero value of a field means what its comment says.
type StoreConfig struct {
	DriverName      string // Casdoor's: sqlite, mysql or postgres; empty is an error
	DataSourceName  string // Casdoor's: for MySQL and PostgreSQL it may lack the database, which DBName then names
	DBName          string // the database of MySQL and PostgreSQL; made when it is missing
	TableNamePrefix string // Casdoor's: stands before each table's name; empty: none
	Beside          bool   // the tables are a Casdoor's that goes on using them; it is an error if there are none
	Logger          *slog.Logger
	Observer        Observer // nil: nobody listens

	asItIs bool // see OpenAsItIs
}

// Store is the database: Casdoor's tables and ours. It is safe for concurrent use, by several processes too.
type Store struct {
	dialect     dialect
	engine      *xorm.Engine
	reads       *statements
	writes      *statements
	commits     *queue[func(*txn) error] // nil where transactions do not wait for each other
	checkpoints *checkpointer            // nil but for SQLite
	writing     atomic.Int64             // transactions that run or wait
	log         *slog.Logger
	observer    Observer // may be nil
	keyring     *keyring
	clients     *clients
	beside      bool         // the tables are a Casdoor's
	bare        bool         // ours are not there yet
	unmade      []string     // tables, and columns of others, that an earlier version has not made; see OpenAsItIs
	tokenBy     tokenColumns // what a row knows its tokens by
	groupRules  string       // the table, quoted; empty but beside a Casdoor that has one
	usersText   string       // see asUsers

	organizations *table[sdk.Organization]
	applications  *table[sdk.Application]
	providers     *table[sdk.Provider]
	certs         *table[sdk.Cert]
	users         *table[sdk.User]
	tokens        *table[sdk.Token]
	records       *table[sdk.Record]     // nil where a Casdoor keeps none
	resources     *table[sdk.Resource]   // as above
	roles         *table[sdk.Role]       // nil but beside a Casdoor
	permissions   *table[sdk.Permission] // as above
	identities    *table[Identity]
	sessions      *table[Session]
	unions        *table[Union]
	options       *table[ProviderOptions]
	conflicts     *table[Conflict]
	states        *table[State]
	uploads       *table[Upload]
	marks         *table[Mark]
	events        *table[Event]
	media         *table[Media]
	adminSessions *table[AdminSession]
	attempts      *table[Attempt]
	logs          *table[Log]
	stats         *table[Stat]
}

// Open connects to the database. In one of our own it creates or upgrades the schema and, when that is empty, makes
// what Casdoor makes at its first start; in a Casdoor's it adds our tables and leaves the others as they are. It may
// run in several processes at once. The returned FirstStart is nil unless this call made it.
func Open(ctx context.Context, cfg StoreConfig) (*Store, *FirstStart, error) {
	d, err := dialectOf(cfg.DriverName)
	if err != nil {
		return nil, nil, err
	}
	log := cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	s := &Store{dialect: d, log: log, observer: cfg.Observer, keyring: newKeyring()}
	s.clients = newClients(s)
	if err := s.connect(ctx, cfg); err != nil {
		if missing, ok := errors.AsType[NotMadeError](err); ok && cfg.Beside {
			return nil, nil, fmt.Errorf("%w: there is no %s", ErrNoCasdoor, string(missing))
		}
		return nil, nil, fmt.Errorf("open database: %w", d.explain(err))
	}
	first, err := s.prepare(ctx, cfg)
	if err != nil {
		s.Close()
		return nil, nil, fmt.Errorf("set up database: %w", d.explain(err))
	}
	return s, first, nil
}

// NotMadeError says what the first start makes.
type NotMadeError string

// Error returns it in words.
func (e NotMadeError) Error() string { return string(e) + " is made at the first start" }

// OpenAsItIs is Open for one who only looks: it makes and changes nothing. A database that no start has made yet is a
// NotMadeError; in a Casdoor's there may be none of our tables, as Bare says.
func OpenAsItIs(ctx context.Context, cfg StoreConfig) (*Store, error) {
	cfg.asItIs = true
	s, _, err := Open(ctx, cfg)
	return s, err
}

// prepare finds out whose the tables are, and makes those that are missing and ours to make.
func (s *Store) prepare(ctx context.Context, cfg StoreConfig) (*FirstStart, error) {
	found, err := s.lookAround(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.beside = found != nil
	var first *FirstStart
	if cfg.asItIs {
		err = s.lookOnly(ctx, cfg.TableNamePrefix, found)
	} else if err = s.mapTables(found); err == nil {
		first, err = s.setUp(ctx)
	}
	if err == nil {
		err = s.findUsersText(ctx)
	}
	return first, err
}

// lookOnly maps the tables as they are: a Casdoor's, which have been found, or our own, which an earlier version may
// have made.
func (s *Store) lookOnly(ctx context.Context, prefix string, found schema) error {
	made, err := s.engine.Context(ctx).IsTableExist(s.engine.TableName(new(State)))
	if err != nil {
		return err
	}
	if s.bare = !made; s.bare && !s.beside {
		return NotMadeError("the schema")
	}
	if !s.beside {
		if found, err = s.schemaOf(ctx, prefix); err != nil {
			return err
		}
	}
	if !s.bare {
		if err := s.lookAtOurs(ctx, prefix, found); err != nil {
			return err
		}
	}
	return s.mapTables(found)
}

// lookAtOurs finds out which of the tables that are ours to make are there, with which columns.
func (s *Store) lookAtOurs(ctx context.Context, prefix string, found schema) error {
	whole, bare := s.ours()
	for _, row := range slices.Concat(whole, bare) {
		info, err := s.engine.TableInfo(row)
		if err != nil {
			return err
		}
		made, err := s.engine.Context(ctx).IsTableExist(info.Name)
		if err != nil {
			return err
		}
		var columns []string // none: everything of it is missing
		if !made {
			s.unmade = append(s.unmade, info.Name)
		} else if columns, err = s.columnsOf(ctx, info.Name); err != nil {
			return err
		}
		found[strings.TrimPrefix(info.Name, prefix)] = columns
		for _, column := range info.ColumnsSeq() {
			if made && !slices.Contains(columns, column) {
				s.unmade = append(s.unmade, info.Name+"."+column)
			}
		}
	}
	return nil
}

// Beside reports whether the tables are those of a Casdoor, which goes on using them.
func (s *Store) Beside() bool { return s.beside }

// Bare reports whether there are no tables of ours beside a Casdoor's yet, for a store that was opened as it is.
func (s *Store) Bare() bool { return s.bare }

// Pool sizes. A sign-in holds a connection for its own transaction only.
const (
	readConnections  = 8
	writeConnections = 16 // of each instance: PostgreSQL by default has 100 for all
	connectionLife   = 30 * time.Minute
)

// Sizes of the batches that those who wait for the database make.
const (
	maxShared     = 256 // transactions that share a commit: the first of them waits for all others
	serverBatches = 2   // that are on their way to a server at a time
)

func (s *Store) connect(ctx context.Context, cfg StoreConfig) error {
	source, err := s.dialect.source(ctx, cfg)
	if err != nil {
		return err
	}
	db, err := s.dialect.open(source.read)
	if err != nil {
		return err
	}
	s.engine, err = xorm.NewEngineWithDB(s.dialect.driver, s.dialect.nameForXorm(source.read), core.FromDB(db))
	if err != nil {
		_ = db.Close()
		return err
	}
	s.engine.SetTableMapper(tableNames{prefix: cfg.TableNamePrefix})
	s.engine.SetLogger(xormlog.DiscardLogger{})
	s.reads = newStatements(db, s.dialect)
	s.writes = s.reads
	if source.write != "" {
		writer, err := s.dialect.open(source.write)
		if err != nil {
			_ = db.Close()
			return err
		}
		s.writes = newStatements(writer, s.dialect)
		limitPool(db, readConnections, connectionLife)
	}
	limitPool(s.writes.db, writeConnections, connectionLife)
	if s.dialect.driver == "sqlite" {
		limitPool(db, readConnections, 0)
		limitPool(s.writes.db, 1, 0)
		s.checkpoints = newCheckpointer(db, s.writes.db, s.log)
		s.commits = newQueue(1, maxShared, func(batch []*job[func(*txn) error]) {
			s.writes.commitBatch(batch)
			s.checkpoints.committed()
		})
	} else {
		s.writes.sends = newQueue(serverBatches, maxShared, s.writes.sendBatch)
	}
	err = db.PingContext(ctx)
	if err != nil {
		s.Close()
		if path, pathErr := sqlitefile.Path(cfg.DataSourceName); s.dialect.driver == "sqlite" && pathErr == nil {
			return fmt.Errorf("file %s, whose folder must be writable too, and its disk not full: %w", path, err)
		}
	}
	return err
}

// limitPool sets how many connections there may be, in use or idle, and how long each lasts; 0: for ever.
func limitPool(db *sql.DB, most int, life time.Duration) {
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	db.SetConnMaxLifetime(life)
}

// mapTables maps the rows to the tables: with the columns that these have, where found says it.
func (s *Store) mapTables(found schema) error {
	err := errors.Join(
		mapTable(s, &s.organizations, found),
		mapTable(s, &s.applications, found),
		mapTable(s, &s.providers, found),
		mapTable(s, &s.certs, found),
		mapTable(s, &s.users, found),
		mapTable(s, &s.tokens, found),
		mapTable(s, &s.identities, found),
		mapTable(s, &s.sessions, found),
		mapTable(s, &s.unions, found),
		mapTable(s, &s.options, found),
		mapTable(s, &s.conflicts, found),
		mapTable(s, &s.states, found),
		mapTable(s, &s.uploads, found),
		mapTable(s, &s.marks, found),
		mapTable(s, &s.events, found),
		mapTable(s, &s.media, found),
		mapTable(s, &s.adminSessions, found),
		mapTable(s, &s.attempts, found),
		mapTable(s, &s.logs, found),
		mapTable(s, &s.stats, found),
	)
	if found == nil || len(found["record"]) > 0 {
		err = errors.Join(err, mapTable(s, &s.records, found))
	}
	if found == nil || len(found["resource"]) > 0 {
		err = errors.Join(err, mapTable(s, &s.resources, found))
	}
	if len(found["role"]) > 0 && len(found["permission"]) > 0 {
		err = errors.Join(err, mapTable(s, &s.roles, found), mapTable(s, &s.permissions, found))
	}
	if err == nil {
		s.tokenBy = tokenColumnsOf(s.tokens)
	}
	return err
}

func mapTable[T any](s *Store, t **table[T], found schema) (err error) {
	*t, err = newTable[T](s.engine, s.dialect, found.has(tableNames{}.Obj2Table(reflect.TypeFor[T]().Name())))
	return err
}

// Ping reports whether the database answers and can read.
func (s *Store) Ping(ctx context.Context) error {
	_, err := exists(s.read(ctx), s.organizations.name)
	return err
}

// Close waits for the writes that have begun and closes the connections. What comes later fails.
func (s *Store) Close() {
	if s.commits != nil {
		s.commits.close()
		s.checkpoints.close()
	} else if s.writes.sends != nil {
		s.writes.sends.close()
	}
	if s.writes != s.reads {
		s.writes.closed.Store(true)
		_ = s.writes.db.Close()
	}
	s.reads.closed.Store(true)
	_ = s.engine.Close()
}
