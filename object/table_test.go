package object

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTables(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	testTable(t, s, s.organizations)
	testTable(t, s, s.applications)
	testTable(t, s, s.providers)
	testTable(t, s, s.certs)
	testTable(t, s, s.users)
	testTable(t, s, s.tokens)
	testTable(t, s, s.identities)
	testTable(t, s, s.sessions)
	testTable(t, s, s.unions)
	testTable(t, s, s.options)
	testTable(t, s, s.uploads)
}

// testTable writes rows with every column filled, and with none, and compares what the table and xorm read.
func testTable[T any](t *testing.T, s *Store, table *table[T]) {
	t.Run(table.name, func(t *testing.T) {
		full, empty := new(T), new(T)
		for _, c := range table.columns {
			fill(reflect.ValueOf(full).Elem().FieldByIndex(c.field), c.name, 0)
		}
		key := "WHERE " + table.list(table.columns[:1], "") + "=?"
		read := s.read(t.Context())

		insert := func(row *T, suffix string) (inserted bool) {
			t.Helper()
			require.NoError(t, s.write(t.Context(), func(tx *txn) (err error) {
				inserted, err = table.insert(tx, row, suffix)
				return err
			}))
			return inserted
		}
		assert.True(t, insert(full, ""))
		assert.True(t, insert(empty, ""))
		assert.False(t, insert(full, s.dialect.orIgnore("owner")), "the row is there")

		keyOf := func(row *T) any { return reflect.ValueOf(row).Elem().FieldByIndex(table.columns[0].field).Interface() }
		for _, row := range []*T{full, empty} {
			got, err := table.get(read, key, keyOf(row))
			require.NoError(t, err)
			assert.JSONEq(t, asJSON(t, row), asJSON(t, got))
			byXorm := new(T)
			found, err := s.engine.Where(table.list(table.columns[:1], "")+"=?", keyOf(row)).Get(byXorm)
			require.NoError(t, err)
			assert.True(t, found)
			assert.JSONEq(t, asJSON(t, row), asJSON(t, byXorm))
		}
		testUpdate(t, s, table, full, empty)
		_, err := table.get(read, key, "no such key")
		assert.ErrorIs(t, err, ErrNotFound)
	})
}

// testUpdate changes the columns of the full row to the empty one's, but for the first, by which it is found.
func testUpdate[T any](t *testing.T, s *Store, table *table[T], full, empty *T) {
	t.Helper()
	want := *empty
	first := table.columns[0]
	key := reflect.ValueOf(full).Elem().FieldByIndex(first.field)
	reflect.ValueOf(&want).Elem().FieldByIndex(first.field).Set(key)
	require.NoError(t, s.write(t.Context(), func(tx *txn) error {
		// Some tables allow one row without a name.
		if _, err := tx.exec("DELETE FROM "+table.name+" WHERE "+s.dialect.quote(first.name)+"=?", ""); err != nil {
			return err
		}
		n, err := table.update(tx, &want, table.columnNames(), s.dialect.quote(first.name)+"=?", key.Interface())
		assert.EqualValues(t, 1, n)
		return err
	}))
	got, err := table.get(s.read(t.Context()), "WHERE "+s.dialect.quote(first.name)+"=?", key.Interface())
	require.NoError(t, err)
	assert.JSONEq(t, asJSON(t, &want), asJSON(t, got))
}

// asJSON is what rows are compared by: to the SDK's structs null and nothing are one.
func asJSON(t *testing.T, row any) string {
	t.Helper()
	text, err := json.Marshal(row)
	require.NoError(t, err)
	return string(text)
}

// fill sets a value, and what is in it, to something that is not zero.
func fill(v reflect.Value, name string, depth int) {
	switch v.Type() {
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte("{}"))
		return
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(name + " 小🐼'\"\\?")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(len(name)))
	case reflect.Float64:
		v.SetFloat(0.25)
	case reflect.Pointer:
		if depth < 4 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), name, depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name, depth+1)
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element, name, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), element)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Tag.Get("json") != "-" {
				fill(v.Field(i), name, depth+1)
			}
		}
	}
}

func TestTableReadsNullsAsZero(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	_, err := s.writes.db.Exec("INSERT INTO user (owner, name) VALUES ('org', 'null')")
	require.NoError(t, err)
	got, err := s.users.get(s.read(t.Context()), "WHERE name=?", "null")
	require.NoError(t, err)
	assert.Equal(t, &sdk.User{Owner: "org", Name: "null"}, got)
}

// TestCell gives each kind of field what the drivers give for it.
func TestCell(t *testing.T) {
	t.Parallel()
	type row struct {
		Text    string
		Bool    bool
		Int     int
		Long    int64
		Float   float64
		Bytes   []byte
		List    []string
		Pointer *sdk.ThemeData
	}
	cases := []struct {
		field string
		src   any
		want  any
	}{
		{"Text", "小🐼", "小🐼"}, {"Text", []byte("小🐼"), "小🐼"}, {"Text", int64(5), "5"}, {"Text", nil, ""},
		{"Bool", true, true}, {"Bool", false, false}, {"Bool", int64(1), true}, {"Bool", []byte("1"), true},
		{"Bool", "0", false}, {"Bool", nil, false},
		{"Int", int64(-7), -7}, {"Int", "12", 12}, {"Int", []byte("12"), 12}, {"Int", 3.0, 3},
		{"Int", true, 1}, {"Int", nil, 0},
		{"Long", int64(1) << 40, int64(1) << 40}, {"Long", []byte("1099511627776"), int64(1) << 40},
		{"Float", 0.5, 0.5}, {"Float", int64(2), 2.0}, {"Float", "0.5", 0.5}, {"Float", []byte("2"), 2.0},
		{"Float", nil, 0.0},
		{"Bytes", []byte{0, 1}, []byte{0, 1}}, {"Bytes", "x", []byte("x")}, {"Bytes", nil, []byte(nil)},
		{"List", `["a","小"]`, []string{"a", "小"}}, {"List", []byte(`[]`), []string{}}, {"List", "null", []string(nil)},
		{"List", "", []string(nil)}, {"List", nil, []string(nil)},
		{"Pointer", `{"themeType":"dark"}`, &sdk.ThemeData{ThemeType: "dark"}}, {"Pointer", nil, (*sdk.ThemeData)(nil)},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s from %T %v", c.field, c.src, c.src), func(t *testing.T) {
			t.Parallel()
			var r row
			field := reflect.ValueOf(&r).Elem().FieldByName(c.field)
			require.NoError(t, (&cell{field: field, json: storedAsJSON(field.Type())}).Scan(c.src))
			assert.Equal(t, c.want, field.Interface())
		})
	}
	for _, c := range []struct {
		field string
		src   any
	}{
		{"Int", "many"}, {"Float", "half"}, {"Bool", "yes"}, {"List", "no JSON"}, {"List", `{"a":1}`}, {"Text", time.Now()},
	} {
		var r row
		field := reflect.ValueOf(&r).Elem().FieldByName(c.field)
		assert.Error(t, (&cell{field: field, json: storedAsJSON(field.Type())}).Scan(c.src), "%s from %v", c.field, c.src)
	}
}

func TestScanOne(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	read := s.read(t.Context())
	var name string
	require.NoError(t, scanOne(read, []any{&name}, "SELECT name FROM organization WHERE owner=?", "admin"))
	assert.Equal(t, "built-in", name)
	assert.ErrorIs(t, scanOne(read, []any{&name}, "SELECT name FROM organization WHERE owner=?", "x"), ErrNotFound)
	assert.Error(t, scanOne(read, []any{&name}, "SELECT no_such_column FROM organization"))
	var number sql.NullTime
	assert.Error(t, scanOne(read, []any{&number}, "SELECT name FROM organization"))
}

// Where one of several rows cannot be added, none is.
func TestInsertAllFails(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	s.insertIdentities(t, identityOf("known"))
	err := s.write(t.Context(), func(tx *txn) error {
		_, err := s.identities.insertAll(tx, []*Identity{identityOf("new"), identityOf("known")}, "")
		return err
	})
	require.Error(t, err)
	_, err = s.identities.get(s.read(t.Context()), "WHERE open_id=?", "new")
	assert.ErrorIs(t, err, ErrNotFound)
}

// A row of a large table is updated by its key, without a look at what else might find it.
func TestUpdateByKey(t *testing.T) {
	t.Parallel()
	mysql, err := dialectOf("mysql")
	require.NoError(t, err)
	postgres, err := dialectOf("postgres")
	require.NoError(t, err)
	users := *openStore(t).users
	for _, c := range []struct {
		d           dialect
		where, want string
	}{
		{mysql, stillUsable, "UPDATE `user` USE INDEX (PRIMARY) SET `avatar`=? WHERE " + stillUsable},
		{mysql, "id=?", "UPDATE `user` SET `avatar`=? WHERE id=?"},
		{postgres, byName, `UPDATE ` + users.name + ` SET "avatar"=? WHERE ` + byName},
	} {
		users.dialect = c.d
		s, err := users.updateSQL(&sdk.User{Avatar: "a"}, []string{"avatar"}, c.where, nil)
		require.NoError(t, err)
		assert.Equal(t, c.want, s.query)
	}
}

// A sign-in updates its user by the index that it has found the user by.
func TestSignInUpdatesByID(t *testing.T) {
	t.Parallel()
	s := &tables{Store: openStore(t)}
	update, err := s.users.updateSQL(&sdk.User{}, []string{"last_signin_time"}, s.stillUsableByID(), []any{"o", "n", "id"})
	require.NoError(t, err)
	var id, parent, unused int
	var plan string
	require.NoError(t, scanOne(s.read(t.Context()), []any{&id, &parent, &unused, &plan},
		"EXPLAIN QUERY PLAN "+update.query, update.args...))
	assert.Contains(t, plan, "IDX_user_id")
}
