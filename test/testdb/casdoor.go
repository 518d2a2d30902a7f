package testdb

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/dbserver"
	"github.com/minidoor/minidoor/test/shared"
)

// Casdoor returns the database of a real Casdoor v3.158, of this kind, with a key pair of the test's. The test is
// skipped where the dumps, or the server, are not there; with CI=true it fails.
func (k Kind) Casdoor(t testing.TB) object.StoreConfig {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shared.Casdoor(t), "casdoor-"+k.Name+".sql"))
	require.NoError(t, err)
	cfg := k.Empty(t)
	create := map[string]string{
		"postgres": `CREATE DATABASE "` + cfg.DBName + `"`,
		"mysql":    "CREATE DATABASE `" + cfg.DBName + "` DEFAULT CHARACTER SET utf8mb4",
	}[k.Name]
	if create != "" { // SQLite makes its own
		require.NoError(t, dbserver.Exec(t.Context(), dbserver.Server(cfg), create))
	}
	certificate, private := keyPair()
	dump := strings.NewReplacer(
		"@CERTIFICATE@", k.quoted(certificate), "@PRIVATE_KEY@", k.quoted(private)).Replace(string(text))
	dump = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`).ReplaceAllString(dump, "") // words of psql's own
	if k.Name == "mysql" {
		// On MySQL 8 Casdoor's tables have another collation than those that somebody else makes.
		dump = strings.ReplaceAll(dump, "utf8mb4_general_ci", "utf8mb4_unicode_ci")
	}
	k.load(t, cfg, dump)
	return cfg
}

// quoted returns a text of several lines as it stands inside the quotes of a statement.
func (k Kind) quoted(text string) string {
	if k.Name == "mysql" {
		return strings.ReplaceAll(text, "\n", `\n`)
	}
	return text
}

// load runs all statements of a dump.
func (k Kind) load(t testing.TB, cfg object.StoreConfig, dump string) {
	t.Helper()
	driver, name := DataSource(t, cfg)
	switch k.Name {
	case "mysql":
		name += "?multiStatements=true"
	case "postgres":
		name += " default_query_exec_mode=simple_protocol"
	}
	db, err := sql.Open(driver, name)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), dump)
	require.NoError(t, err)
}

// keyPair returns a certificate and its private key in PEM form, the same for all tests of a process.
var keyPair = sync.OnceValues(func() (certificate, private string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cert-built-in"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(block))
})
