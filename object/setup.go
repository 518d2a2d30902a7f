package object

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/google/uuid"
	"xorm.io/xorm"
)

// FirstStart is what was made in an empty store. The password is stored as a hash only: show it now or never.
type FirstStart struct {
	AdminName     string // owner/name
	AdminPassword string
}

// Casdoor's names for what is there from the first start on.
const (
	adminOwner         = "admin"
	builtInName        = "built-in"
	builtInApplication = "app-built-in"
	builtInCert        = "cert-built-in"
	builtInAdmin       = "admin"
)

// InForce reports whether the admin still has the password that was made: init data may have set another one. Where
// that cannot be found out, it is taken to be in force.
func (s *Store) InForce(ctx context.Context, first *FirstStart) bool {
	owner, name, _ := strings.Cut(first.AdminName, "/")
	admin, err := s.users.named(s.read(ctx), owner, name)
	return err != nil || passwordMatches(admin.Password, first.AdminPassword)
}

// setUp creates and upgrades the tables. All of it happens under one lock, so that instances that start at once do
// not race: SQLite's write lock, and a named lock of the other databases.
func (s *Store) setUp(ctx context.Context) (first *FirstStart, err error) {
	session := s.engine.NewSession().Context(ctx)
	defer func() { _ = session.Close() }()
	if err := s.lock(session); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	defer func() { err = errors.Join(err, s.unlock(session, err == nil)) }()
	if err := s.syncTables(session); err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	if err := s.distinguishCase(ctx, session); err != nil {
		return nil, err
	}
	if err := s.leaveRoom(session); err != nil || s.beside {
		return nil, err
	}
	if err := s.makeIndexes(session); err != nil {
		return nil, err
	}
	known, err := session.Count(new(sdk.Organization))
	if err != nil || known > 0 {
		return nil, err
	}
	return makeBuiltIn(session)
}

// syncTables creates and extends the tables that are ours to. Those that a sign-in adds rows to get the indexes that
// something is looked up by (see indexes), not the ones that Casdoor gives them besides.
func (s *Store) syncTables(session *xorm.Session) error {
	whole, bare := s.ours()
	_, err := session.SyncWithOptions(xorm.SyncOptions{IgnoreDropIndices: true}, whole...)
	if err == nil && len(bare) > 0 {
		_, err = session.SyncWithOptions(xorm.SyncOptions{IgnoreIndices: true}, bare...)
	}
	return err
}

// ours returns rows of the tables that are ours to make: with the indexes that their tags say, and without.
func (s *Store) ours() (whole, bare []any) {
	whole = []any{
		new(Identity), new(Session), new(Union), new(ProviderOptions), new(Conflict), new(State),
		new(Mark), new(Event), new(Media), new(Upload),
		new(AdminSession), new(Attempt), new(Log), new(Stat),
	}
	if s.beside {
		return whole, nil
	}
	whole = append(whole, new(sdk.Organization), new(sdk.Application), new(sdk.Provider), new(sdk.Cert),
		new(sdk.Record), new(sdk.Resource))
	return whole, []any{new(sdk.User), new(sdk.Token)}
}

func (s *Store) lock(session *xorm.Session) error {
	if err := session.Begin(); err != nil {
		return err
	}
	if s.dialect.lock == "" {
		// The first write of a transaction takes SQLite's lock: one that changes nothing does.
		_, err := session.Exec("PRAGMA user_version = 0")
		return err
	}
	var got sql.NullString
	if _, err := session.SQL(s.dialect.lock).Get(&got); err != nil {
		return err
	}
	if s.dialect.driver == "mysql" && got.String != "1" {
		return errors.New("another instance has been setting the database up for too long")
	}
	return nil
}

func (s *Store) unlock(session *xorm.Session, commit bool) error {
	if s.dialect.unlock != "" {
		// MySQL commits at each CREATE TABLE: its lock belongs to the connection, not to the transaction.
		defer func() { _, _ = session.Exec(s.dialect.unlock) }()
	}
	if commit {
		return session.Commit()
	}
	return session.Rollback()
}

// distinguishCase makes MySQL tell OpenIDs apart that differ in case only: they are different people.
func (s *Store) distinguishCase(ctx context.Context, session *xorm.Session) error {
	if s.dialect.driver != "mysql" {
		return nil
	}
	for _, c := range []struct {
		row    any
		column string
	}{
		{new(Identity), "open_id"}, {new(Session), "open_id"}, {new(Union), "union_id"}, {new(Conflict), "open_id"},
		{new(Media), "trace_id"}, {new(Upload), "trace_id"},
	} {
		if err := s.collateExactly(ctx, session, s.engine.TableName(c.row), c.column); err != nil {
			return fmt.Errorf("collation of %s: %w", c.column, err)
		}
	}
	return nil
}

func (s *Store) collateExactly(ctx context.Context, session *xorm.Session, table, column string) error {
	const exact = "utf8mb4_bin"
	_, current, err := s.textOf(ctx, table, column)
	if err != nil || current == exact {
		return err
	}
	_, err = session.Exec(fmt.Sprintf("ALTER TABLE %s MODIFY %s varchar(128) CHARACTER SET utf8mb4 COLLATE %s NOT NULL",
		s.dialect.quote(table), s.dialect.quote(column), exact))
	return err
}

// textOf returns of which characters MySQL makes a column, and how it compares them.
func (s *Store) textOf(ctx context.Context, table, column string) (charset, collation string, err error) {
	err = scanOne(s.read(ctx), []any{&charset, &collation},
		"SELECT character_set_name, collation_name FROM information_schema.columns "+
			"WHERE table_schema=DATABASE() AND table_name=? AND column_name=?", table, column)
	return charset, collation, err
}

// findUsersText finds how MySQL compares the texts of users, for asUsers.
func (s *Store) findUsersText(ctx context.Context) error {
	if s.dialect.driver != "mysql" {
		return nil
	}
	charset, collation, err := s.textOf(ctx, s.engine.TableName(new(sdk.User)), "id")
	s.usersText = "CONVERT(%s USING " + charset + ") COLLATE " + collation
	return err
}

// asUsers has MySQL compare a text as the columns of users are compared. A Casdoor that has moved to a newer server has
// tables of several collations, and two columns of different ones are an error.
func (s *Store) asUsers(text string) string {
	if s.usersText == "" {
		return text
	}
	return fmt.Sprintf(s.usersText, text)
}

// leaveRoom has PostgreSQL fill the pages of rows that sign-ins and refreshes change to 85 % only, unless somebody has
// chosen otherwise. A changed row that fits into its page needs no new entry in each index of its table, which lie
// anywhere (https://www.postgresql.org/docs/current/storage-hot.html).
func (s *Store) leaveRoom(session *xorm.Session) error {
	if s.dialect.driver != "pgx" {
		return nil
	}
	rows := []any{new(Session)}
	if !s.beside {
		rows = append(rows, new(sdk.User), new(sdk.Token))
	}
	for _, row := range rows {
		table := s.dialect.quote(s.engine.TableName(row))
		chosen, err := session.SQL("SELECT 1 FROM pg_class WHERE oid=to_regclass(?) AND reloptions IS NOT NULL", table).Exist()
		if err == nil && !chosen {
			_, err = session.Exec("ALTER TABLE " + table + " SET (fillfactor=85)")
		}
		if err != nil {
			return fmt.Errorf("fillfactor of %s: %w", table, err)
		}
	}
	return nil
}

// makeBuiltIn makes the organization, application, cert and user that Casdoor makes at its first start.
func makeBuiltIn(session *xorm.Session) (*FirstStart, error) {
	password := rand.Text()
	hash, err := hashPassword(password)
	if err != nil {
		return nil, err
	}
	cert := &sdk.Cert{
		Owner: adminOwner, Name: builtInCert, DisplayName: "Built-in Cert", Scope: "JWT", Type: "x509",
		CryptoAlgorithm: "RS256", BitSize: 2048, ExpireInYears: 20,
	}
	if err := fillCert(cert); err != nil {
		return nil, err
	}
	rows := []any{
		&sdk.Organization{
			Owner: adminOwner, Name: builtInName, CreatedTime: now(), DisplayName: "Built-in Organization",
			PasswordType: passwordType, Languages: []string{"en", "zh"}, InitScore: 2000,
			AccountItems: defaultAccountItems(),
		},
		cert,
		&sdk.Application{
			Owner: adminOwner, Name: builtInApplication, CreatedTime: now(), DisplayName: "minidoor",
			Organization: builtInName, Cert: builtInCert, EnablePassword: true,
			GrantTypes: []string{"authorization_code", "client_credentials", "refresh_token"},
			ClientId:   newClientID(), ClientSecret: newClientSecret(), TokenFormat: "JWT",
			ExpireInHours: DefaultExpireInHours, FailedSigninLimit: defaultSigninLimit,
			FailedSigninFrozenTime: defaultFrozenTime,
		},
		&sdk.User{
			Owner: builtInName, Name: builtInAdmin, CreatedTime: now(), UpdatedTime: now(), Id: uuid.NewString(),
			Type: normalUser, Password: hash, PasswordType: passwordType, DisplayName: "Admin", IsAdmin: true,
			SignupApplication: builtInApplication, RegisterType: "Add User",
			RegisterSource: builtInName + "/" + builtInAdmin,
			Properties:     map[string]string{}, BalanceCurrency: defaultCurrency,
		},
	}
	for _, row := range rows {
		if _, err := session.Insert(row); err != nil {
			return nil, fmt.Errorf("first start: %w", err)
		}
	}
	return &FirstStart{AdminName: builtInName + "/" + builtInAdmin, AdminPassword: password}, nil
}
