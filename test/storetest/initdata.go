package storetest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/minidoor/minidoor/object"
)

func (s *suite) testInitData(t *testing.T) {
	inParallel(t, map[string]func(*testing.T){
		"Idempotent":   s.testIdempotent,
		"Merge":        s.testMerge,
		"NewOnly":      s.testNewOnly,
		"AllOrNothing": s.testAllOrNothing,
		"Certs":        s.testCerts,
		"AtOnce":       s.testInitDataAtOnce,
		"NoFile":       s.testNoFile,
		"TakenEmail":   s.testTakenEmail,
		"HashedUser":   s.testHashedUser,
	})
}

// everything is an init data file with a row of each kind.
func everything(name string) row {
	return row{
		"organizations": []row{{"owner": "admin", "name": name, "displayName": "店 🐼", "languages": []string{"zh", "en"}}},
		"providers": []row{{
			"owner": "admin", "name": name, "type": "WeChatMiniProgram", "clientId": "wx" + name, "clientSecret": "secret",
		}},
		"certs": []row{{"owner": "admin", "name": name, "cryptoAlgorithm": "ES256"}},
		"applications": []row{{
			"owner": "admin", "name": name, "organization": name, "cert": name, "themeData": row{"themeType": "dark"},
			"providers": []row{{"name": name, "canSignIn": true, "canSignUp": true}},
		}},
		"users": []row{{
			"owner": name, "name": "boss", "password": "boss password", "properties": row{"color": "red"},
			"address": []string{"1", "2"},
		}},
		"miniProgramProviders": []row{{"owner": "admin", "name": name, "shareUnionId": true}},
		"syncers":              []row{{"owner": "admin", "name": "of no interest"}},
	}
}

// snapshot is all rows of an init data file's name.
func (s *suite) snapshot(t *testing.T, name string) map[string][]map[string]string {
	t.Helper()
	found := map[string][]map[string]string{
		"user": s.rows(t, `SELECT * FROM "user" WHERE owner=? ORDER BY name`, name),
	}
	for _, table := range []string{"organization", "provider", "cert", "application", "mini_program_provider"} {
		found[table] = s.rows(t, `SELECT * FROM "`+table+`" WHERE name=?`, name)
	}
	return found
}

func (s *suite) testIdempotent(t *testing.T) {
	const name = "init-idempotent"
	s.apply(t, everything(name))
	before := s.snapshot(t, name)
	for table, rows := range before {
		require.Len(t, rows, 1, table)
	}
	user, app := before["user"][0], before["application"][0]
	assert.NoError(t, bcrypt.CompareHashAndPassword([]byte(user["password"]), []byte("boss password")))
	assert.NotEmpty(t, user["id"])
	assert.NotEmpty(t, app["client_id"])
	assert.NotEmpty(t, app["client_secret"])
	assert.Contains(t, before["cert"][0]["private_key"], "PRIVATE KEY")
	s.apply(t, everything(name))
	assert.Equal(t, before, s.snapshot(t, name))
}

// testMerge applies a file that says less, and other things, than the rows: what it does not mention stays.
func (s *suite) testMerge(t *testing.T) {
	const name = "init-merge"
	s.apply(t, everything(name))
	before := s.snapshot(t, name)
	s.apply(t, row{
		"organizations": []row{{"owner": "admin", "name": name, "languages": []string{"zh"}}},
		"applications": []row{{
			"owner": "admin", "name": name, "providers": []row{{"name": name, "canSignIn": true, "canSignUp": false}},
		}},
		"users": []row{{"owner": name, "name": "boss", "properties": row{"size": "L"}, "displayName": "Boss"}},
	})
	after := s.snapshot(t, name)
	assert.JSONEq(t, `["zh"]`, after["organization"][0]["languages"])
	assert.Contains(t, after["application"][0]["providers"], `"canSignUp":false`)
	assert.JSONEq(t, `{"size":"L"}`, after["user"][0]["properties"])
	assert.Equal(t, "Boss", after["user"][0]["display_name"])
	for table, column := range map[string]string{
		"organization": "languages", "application": "providers", "user": "properties",
	} {
		before[table][0][column], after[table][0][column] = "", ""
	}
	before["user"][0]["display_name"], after["user"][0]["display_name"] = "", ""
	assert.Equal(t, before, after)
}

func (s *suite) testNewOnly(t *testing.T) {
	const name = "init-new-only"
	s.apply(t, everything(name))
	before := s.snapshot(t, name)
	changed := everything(name)
	changed["organizations"] = []row{{"owner": "admin", "name": name, "displayName": "changed"}}
	changed["users"] = []row{{"owner": name, "name": "boss", "displayName": "changed"}, {"owner": name, "name": "new"}}
	require.NoError(t, s.store.ApplyInitData(t.Context(), writeJSON(t, changed), true))
	after := s.snapshot(t, name)
	require.Len(t, after["user"], 2)
	assert.Equal(t, "new", after["user"][1]["name"])
	after["user"] = after["user"][:1]
	assert.Equal(t, before, after)
}

func (s *suite) testAllOrNothing(t *testing.T) {
	for name, c := range map[string]struct {
		list  string
		row   row
		error string
	}{
		"no name":           {"users", row{"owner": "x"}, "owner and name are required"},
		"wrong type":        {"users", row{"owner": "x", "name": "x", "score": "many"}, "score"},
		"unknown algorithm": {"certs", row{"owner": "admin", "name": "x", "cryptoAlgorithm": "EdDSA"}, `"EdDSA"`},
		"odd size":          {"certs", row{"owner": "admin", "name": "x", "bitSize": 1024}, "1024"},
		"damaged cert":      {"certs", row{"owner": "admin", "name": "x", "certificate": "x", "privateKey": "x"}, "PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			owner := "init-bad-" + strings.ReplaceAll(name, " ", "-")
			data := everything(owner)
			delete(data, "users") // whose password takes long
			rows, _ := data[c.list].([]row)
			data[c.list] = append(rows, c.row)
			err := s.store.ApplyInitData(t.Context(), writeJSON(t, data), false)
			require.ErrorContains(t, err, c.error)
			for table, rows := range s.snapshot(t, owner) {
				assert.Empty(t, rows, table)
			}
		})
	}
	t.Run("no JSON", func(t *testing.T) {
		assert.Error(t, s.store.ApplyInitData(t.Context(), writeJSON(t, "text"), false))
	})
}

func (s *suite) testCerts(t *testing.T) {
	for _, c := range []struct {
		algorithm string
		bits      int
	}{{"ES256", 0}, {"ES384", 0}, {"ES512", 0}, {"RS512", 2048}, {"", 0}} {
		name := fmt.Sprintf("cert-%s-%d", c.algorithm, c.bits)
		s.apply(t, row{"certs": []row{{
			"owner": "admin", "name": name, "cryptoAlgorithm": c.algorithm, "bitSize": c.bits, "expireInYears": 2,
		}}})
		cert := s.row(t, `SELECT * FROM "cert" WHERE name=?`, name)
		block, _ := pem.Decode([]byte(cert["certificate"]))
		require.NotNil(t, block, name)
		parsed, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		assert.Equal(t, name, parsed.Subject.CommonName)
		assert.Equal(t, 2, parsed.NotAfter.Year()-parsed.NotBefore.Year())
		assert.Equal(t, "JWT", cert["scope"])
	}
}

// testInitDataAtOnce applies one file as instances do that start at the same moment.
func (s *suite) testInitDataAtOnce(t *testing.T) {
	const name, instances = "init-at-once", 4
	path := writeJSON(t, everything(name))
	errs := make([]error, instances)
	concurrently(instances, func(i int) { errs[i] = s.store.ApplyInitData(t.Context(), path, false) })
	for _, err := range errs {
		assert.NoError(t, err)
	}
	for table, rows := range s.snapshot(t, name) {
		assert.Len(t, rows, 1, table)
	}
}

// testTakenEmail has users of a file ask for an address that somebody has: all else of them is applied.
func (s *suite) testTakenEmail(t *testing.T) {
	const name, address = "init-email", "taken@example.com"
	var log bytes.Buffer
	cfg := s.cfg
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, _, err := object.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	apply := func(users ...row) []map[string]string {
		t.Helper()
		log.Reset()
		data := row{"organizations": []row{{"owner": "admin", "name": name}}, "users": users}
		require.NoError(t, store.ApplyInitData(t.Context(), writeJSON(t, data), false))
		return s.rows(t, `SELECT name, email, bio FROM "user" WHERE owner=? ORDER BY name`, name)
	}
	first := row{"owner": name, "name": "a-first", "email": address}
	second := row{"owner": name, "name": "b-second", "email": address, "emailVerified": true, "bio": "me"}
	for range 2 {
		assert.Equal(t, []map[string]string{
			{"name": "a-first", "email": address, "bio": ""}, {"name": "b-second", "email": "", "bio": "me"},
		}, apply(first, second))
		assert.Contains(t, log.String(), "user=init-email/b-second field=email")
		assert.NotContains(t, log.String(), "a-first")
		assert.NotContains(t, log.String(), address)
	}
	second["email"] = "own@example.com"
	assert.Equal(t, "own@example.com", apply(first, second)[1]["email"])
	assert.Empty(t, log.String())
	for _, taken := range []string{address, "Taken@Example.com"} {
		second["email"] = taken
		assert.Equal(t, "own@example.com", apply(first, second)[1]["email"], "the own one stays")
		assert.Contains(t, log.String(), "b-second")
	}
	second["email"] = "Second@Example.com"
	assert.Equal(t, "second@example.com", apply(first, second)[1]["email"], "so it is found, however it is spelled")
	s.exec(t, 1, `UPDATE "user" SET email='Old@Example.com' WHERE owner=? AND name='b-second'`, name)
	delete(second, "email")
	assert.Equal(t, "Old@Example.com", apply(first, second)[1]["email"], "what the file has not stays as it is")
}

func (s *suite) testNoFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "init_data.json")
	assert.NoError(t, s.store.ApplyInitData(t.Context(), missing, false))
}

// testHashedUser applies a file that Casdoor dumped.
func (s *suite) testHashedUser(t *testing.T) {
	const name = "init-hashed"
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	require.NoError(t, err)
	for user, given := range map[string]row{
		"bcrypt": {"passwordType": "bcrypt", "password": string(hash)},
		"argon2id": {"passwordType": "argon2id", "password": "$argon2id$v=19$m=65536,t=1,p=4$jp/It4KNfGw7SEEYXh0vmw$" +
			"tAzEZhuIcpVZq0mJMIM8MuWRsoUZBCKh56xxkOlgdT0"},
		"pbkdf2": {
			"passwordType": "pbkdf2-salt", "password": strings.Repeat("A", 88), "passwordSalt": "98b06df78eb088d6fa86",
		},
	} {
		given["owner"], given["name"] = name, user
		for range 2 {
			s.apply(t, row{"users": []row{given}})
			stored := s.row(t, `SELECT * FROM "user" WHERE owner=? AND name=?`, name, user)
			assert.Equal(t, given["password"], stored["password"], user)
			assert.Equal(t, given["passwordType"], stored["password_type"], user)
		}
	}
}
