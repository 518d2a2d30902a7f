package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/dbserver"
)

// idFormat is what an id of a user is made of: two texts, one before a hash of the user's number in hexadecimal, one
// behind it, and then the number, counted from 0, in so many digits. The hash stands in front, so that neighbours do
// not lie side by side in an index: real users do not either.
type idFormat struct {
	before, behind string
	digits         int
}

func (f idFormat) of(n int) string {
	return fmt.Sprintf("%s%08x%s%0*d", f.before, spread(n), f.behind, f.digits, n)
}

func openIDFormat() idFormat { return idFormat{"o", "Benchmark", 10} }

func openID(n int) string { return openIDFormat().of(n) }

// spread is a bijection of the 32-bit numbers, and spreadSQL the same in SQL.
func spread(n int) uint32 { return uint32(n) * 2654435761 }

const spreadSQL = "((n * 2654435761) & 4294967295)"

// substitute is a text in the rows of user 0, and what stands in its place in another user's.
type substitute struct {
	old    string
	format idFormat
}

// sql is the column with the text of user n in place of that of user 0.
func (s substitute) sql(sy syntax, column string) string {
	return fmt.Sprintf("replace(%s, '%s', concat('%s', %s, '%s', %s))", column, s.old,
		s.format.before, sy.hex8("spread"), s.format.behind, sy.padded("n", s.format.digits))
}

// syntax is what differs between the databases here.
type syntax struct {
	quote  func(name string) string
	param  string // the first parameter of a query
	hex8   func(number string) string
	padded func(number string, digits int) string
}

func syntaxOf(driverName string) syntax {
	backticks := func(name string) string { return "`" + name + "`" }
	switch driverName {
	case "postgres":
		return syntax{
			quote: func(name string) string { return `"` + name + `"` }, param: "$1",
			hex8:   func(number string) string { return "lpad(to_hex(" + number + "), 8, '0')" },
			padded: func(number string, digits int) string { return fmt.Sprintf("lpad(%s::text, %d, '0')", number, digits) },
		}
	case "mysql":
		return syntax{
			quote: backticks, param: "?",
			hex8:   func(number string) string { return "lpad(lower(hex(" + number + ")), 8, '0')" },
			padded: func(number string, digits int) string { return fmt.Sprintf("lpad(%s, %d, '0')", number, digits) },
		}
	default:
		return syntax{
			quote: backticks, param: "?",
			hex8:   func(number string) string { return "printf('%08x', " + number + ")" },
			padded: func(number string, digits int) string { return fmt.Sprintf("printf('%%0%dd', %s)", digits, number) },
		}
	}
}

// multiply makes users 1 to count-1 out of user 0, the only one who has signed in, each with an identity, a session and
// a token. The server must not run.
func multiply(ctx context.Context, store object.StoreConfig, count int) error {
	db, err := dbserver.Open(store)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // what is set for the session holds for all
	if err := hurry(ctx, db, store.DriverName); err != nil {
		return err
	}
	sy := syntaxOf(store.DriverName)
	first := openID(0)
	var name, id, token, access, refresh string
	row := db.QueryRowContext(ctx, fmt.Sprintf(
		"SELECT u.name, u.id, t.name, t.access_token_hash, t.refresh_token_hash "+
			"FROM %s u JOIN token t ON t.organization=u.owner AND t.%s=u.name WHERE u.wechat=%s",
		sy.quote("user"), sy.quote("user"), sy.param), first)
	if err := row.Scan(&name, &id, &token, &access, &refresh); err != nil {
		return fmt.Errorf("the user to copy: %w", err)
	}
	substitutes := []substitute{
		{first, openIDFormat()},
		{id, idFormat{"", "-0000-4000-8000-", 12}},
		{token, idFormat{"", "-0000-4000-9000-", 12}},
		{access, idFormat{"", "aaaa", 52}},
		{refresh, idFormat{"", "bbbb", 52}},
	}
	if err := execAll(ctx, db, []string{
		"CREATE TEMPORARY TABLE numbers (spread BIGINT PRIMARY KEY, n BIGINT)",
		fmt.Sprintf("INSERT INTO numbers SELECT %s, n FROM (%s) digits WHERE n BETWEEN 1 AND %d ORDER BY 1",
			spreadSQL, numbersSQL(count), count-1),
	}); err != nil {
		return err
	}
	for _, r := range []struct{ table, column, value string }{
		{"user", "name", name},
		{"token", "user", name},
		{"mini_program_identity", "open_id", first},
		{"mini_program_session", "open_id", first},
	} {
		if err := insertCopies(ctx, db, sy, r.table, r.column, r.value, substitutes); err != nil {
			return fmt.Errorf("copy the row of %s: %w", r.table, err)
		}
	}
	return settle(ctx, db, store)
}

// insertCopies inserts the row whose column has that value once for each row of numbers, with the substitutes in it
// made those of that number's user. It does so in the order of the spread numbers, which is that of all keys: the
// leaves of an index are then written one after the other. One in three comes after all others, so that leaves are split
// and end up three quarters full, as where users came in any order: leaves that are quite full would all be split under
// the measurements.
func insertCopies(
	ctx context.Context, db *sql.DB, sy syntax, table, column, value string, substitutes []substitute,
) error {
	where := fmt.Sprintf(" FROM %s WHERE %s='%s'", sy.quote(table), sy.quote(column), value)
	names, values, err := oneRow(ctx, db, "SELECT *"+where)
	if err != nil {
		return err
	}
	expressions := make([]string, len(names))
	for i, name := range names {
		names[i] = sy.quote(name)
		expressions[i] = "r." + names[i]
		for _, s := range substitutes {
			if strings.Contains(values[i], s.old) {
				expressions[i] = s.sql(sy, expressions[i])
			}
		}
	}
	// The outer join has MariaDB go through the numbers first; an inner one would have it sort whole rows.
	insert := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM numbers LEFT JOIN original r ON 1=1 WHERE n%%3",
		sy.quote(table), strings.Join(names, ","), strings.Join(expressions, ","))
	return execAll(ctx, db, []string{
		"CREATE TEMPORARY TABLE original AS SELECT *" + where,
		insert + "<>0 ORDER BY spread",
		insert + "=0 ORDER BY spread",
		"DROP TABLE original",
	})
}

// numbersSQL selects n from 0 to at least count-1, in the same words on every database.
func numbersSQL(count int) string {
	const digit = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 " +
		"UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	sum, from := "0", []string{}
	for i, power := 0, 1; power < count; i, power = i+1, power*10 {
		sum += fmt.Sprintf("+%d*d%d.d", power, i)
		from = append(from, fmt.Sprintf("%s d%d", digit, i))
	}
	if len(from) == 0 {
		return "SELECT 0 AS n"
	}
	slices.Reverse(from)
	return "SELECT " + sum + " AS n FROM " + strings.Join(from, ", ")
}

// oneRow returns the column names and the values, as text, of the one row that a query has.
func oneRow(ctx context.Context, db *sql.DB, query string, args ...any) (columns, texts []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }()
	if columns, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	values := make([]sql.NullString, len(columns))
	dest := make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	if !rows.Next() {
		return nil, nil, sql.ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return nil, nil, err
	}
	if rows.Next() {
		return nil, nil, fmt.Errorf("more than one row")
	}
	for _, value := range values {
		texts = append(texts, value.String)
	}
	return columns, texts, rows.Err()
}
