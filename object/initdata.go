package object

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/google/uuid"
)

// initData is Casdoor's init data file, as far as we have the tables, and our own options of providers.
type initData struct {
	Organizations []json.RawMessage `json:"organizations"`
	Providers     []json.RawMessage `json:"providers"`
	Certs         []json.RawMessage `json:"certs"`
	Applications  []json.RawMessage `json:"applications"`
	Users         []json.RawMessage `json:"users"`

	MiniProgramProviders []json.RawMessage `json:"miniProgramProviders"`
}

// ApplyInitData brings the rows of a file in Casdoor's init data format into the store: all of them, or none. A row
// that exists keeps what the file does not mention, and its id, password hash, keys and client secret where the file
// leaves them empty; with newOnly it is left alone. So the same file may be applied at every start; the log names the
// rows that this changes, which an admin may have had otherwise. Beside a Casdoor, which applies such a file itself,
// only our options of providers are taken from it.
func (s *Store) ApplyInitData(ctx context.Context, path string, newOnly bool) error {
	data, err := s.readInitData(ctx, path)
	if err != nil {
		return ignoreMissing(err)
	}
	var a *applying
	err = s.write(ctx, func(tx *txn) error {
		if err := s.holdOrganization(tx, builtInName); err != nil { // instances that start at once have the same file
			return err
		}
		a = &applying{tx: tx, newOnly: newOnly}
		if s.beside {
			return applyRows(a, s.options, data.MiniProgramProviders, completeOptions)
		}
		if err := s.holdOwners(tx, data.Users); err != nil {
			return err
		}
		return s.applyAll(a, data)
	})
	if err != nil {
		return fmt.Errorf("init data %s: %w", path, err)
	}
	if n := len(a.changed); n > 0 {
		const named = 20
		s.log.InfoContext(ctx, "init data: rows that were otherwise are changed", "initDataFile", path, "changed", n,
			"rows", strings.Join(a.changed[:min(n, named)], ", "))
	}
	return nil
}

// applying is one application of init data, in one transaction.
type applying struct {
	tx      *txn
	newOnly bool
	changed []string // kind owner/name of rows that were there, and otherwise
}

// applyAll applies the rows of all lists. What is wrong with the file is told of each; an error of the database ends it,
// behind which PostgreSQL would refuse whatever comes.
func (s *Store) applyAll(a *applying, data *initData) (err error) {
	application := func(row, old *sdk.Application) error {
		completeApplication(row, old)
		if old == nil {
			return nil
		}
		if err := s.endFormerTokens(a.tx, row, old); err != nil {
			return err
		}
		return s.rememberKeys(a.tx, row, old, time.Now())
	}
	user := func(row, old *sdk.User) error {
		if err := completeUser(row, old); err != nil {
			return err
		}
		return s.leaveTakenEmail(a.tx, row, old)
	}
	for _, apply := range []func() error{
		func() error { return applyRows(a, s.organizations, data.Organizations, completeOrganization) },
		func() error { return applyRows(a, s.providers, data.Providers, completeProvider) },
		func() error { return applyRows(a, s.certs, data.Certs, completeCert) },
		func() error { return applyRows(a, s.applications, data.Applications, application) },
		func() error { return applyRows(a, s.users, data.Users, user) },
		func() error { return applyRows(a, s.options, data.MiniProgramProviders, completeOptions) },
	} {
		failed := apply()
		err = errors.Join(err, failed)
		if IsUnavailable(failed) || isUnfit(failed) {
			break
		}
	}
	return err
}

// readInitData reads the file, or returns ErrNotFound: Casdoor's own configuration names one that few have.
func (s *Store) readInitData(ctx context.Context, path string) (*initData, error) {
	data, unknown, err := parseInitData(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !s.beside {
			s.log.WarnContext(ctx, "there is no init data file", "initDataFile", absolute(path))
		}
		return nil, ErrNotFound
	}
	if len(unknown) > 0 {
		s.log.WarnContext(ctx, "init data: keys that mean nothing here", "initDataFile", path,
			"keys", strings.Join(unknown, ", "))
	}
	return data, err
}

func parseInitData(path string) (data *initData, unknown []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("init data: %w", err)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // which editors on Windows put there
	data = &initData{}
	if err := json.Unmarshal(text, data); err != nil {
		return nil, nil, fmt.Errorf("init data %s: %w", path, atLine(text, err))
	}
	return data, data.unknown(text), nil
}

// DiagnoseInitData says whether a start can read the file. A gateway does without.
func DiagnoseInitData(path string, gateway bool) ([]Finding, error) {
	_, unknown, err := parseInitData(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && gateway:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{{Severity: Warning, Text: "init data: there is no file " + absolute(path)}}, nil
	case err != nil:
		return nil, err
	case len(unknown) > 0:
		return []Finding{{Severity: Warning,
			Text: "init data: keys that mean nothing here: " + strings.Join(unknown, ", ")}}, nil
	}
	return []Finding{{Severity: Fine, Text: "init data: " + path + " can be read"}}, nil
}

// holdOwners holds the organizations of users, in one order: others wait for one of them, which may be ours to wait
// for.
func (s *Store) holdOwners(tx *txn, users []json.RawMessage) error {
	owners := map[string]bool{}
	for _, user := range users {
		var id struct{ Owner string }
		_ = json.Unmarshal(user, &id) // what is no object is refused where it is used
		owners[id.Owner] = true
	}
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		if err := s.holdOrganization(tx, owner); err != nil {
			return err
		}
	}
	return nil
}

// leaveTakenEmail leaves an e-mail address out that another user of the organization has. It is no error: users change
// their addresses, and none of them is to keep a server from starting. As everywhere, addresses are in lower case.
func (s *Store) leaveTakenEmail(tx *txn, row, old *sdk.User) error {
	if old == nil || row.Email != old.Email { // the file has it
		row.Email = strings.ToLower(row.Email)
	}
	if !getsEmail(row, old) {
		return nil
	}
	err := s.freeEmail(tx, row)
	if !isA[*Refusal](err) {
		return err
	}
	s.log.WarnContext(tx.ctx, "init data: an e-mail address is left out: another user has it",
		"user", row.Owner+"/"+row.Name, "field", "email")
	row.Email, row.EmailVerified = "", false
	if old != nil {
		row.Email, row.EmailVerified = old.Email, old.EmailVerified
	}
	return nil
}

// atLine adds to an error of JSON's form where it is.
func atLine(text []byte, err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:syntax.Offset], []byte("\n")), err)
	}
	return err
}

// unknown returns the keys that name nothing, once each: of the file, unless Casdoor has them for tables that are not
// ours, and of its rows.
func (d initData) unknown(text []byte) []string {
	unknown := map[string]bool{}
	note := func(object json.RawMessage, where string, known []string) {
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(object, &fields) // what is no object is refused where it is used
		for key := range fields {
			if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, key) }) {
				unknown[where+key] = true
			}
		}
	}
	note(text, "", append(jsonKeys[initData](), strings.Fields(casdoorsInitData)...))
	for _, list := range []struct {
		name string
		rows []json.RawMessage
		keys []string
	}{
		{"organizations", d.Organizations, jsonKeys[sdk.Organization]()},
		{"providers", d.Providers, jsonKeys[sdk.Provider]()},
		{"certs", d.Certs, jsonKeys[sdk.Cert]()},
		{"applications", d.Applications, jsonKeys[sdk.Application]()},
		{"users", d.Users, jsonKeys[sdk.User]()},
		{"miniProgramProviders", d.MiniProgramProviders, jsonKeys[ProviderOptions]()},
	} {
		for _, row := range list.rows {
			note(row, list.name+".", list.keys)
		}
	}
	return slices.Sorted(maps.Keys(unknown))
}

// casdoorsInitData are Casdoor's lists of rows that we have no tables of, and leave alone.
const casdoorsInitData = `ldaps models permissions payments products resources roles syncers tokens webhooks groups adapters
enforcers plans pricings invitations records sessions subscriptions transactions orders sites rules forms keys tickets servers
agents entries third_party_links enforcerPolicies`

// jsonKeys returns the keys that JSON has for the fields of T.
func jsonKeys[T any]() (keys []string) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		keys = append(keys, cmp.Or(name, field.Name))
	}
	return keys
}

// applyRows merges each JSON object into the row of its owner and name. complete fills in what the file leaves out;
// old is nil for a new row.
func applyRows[T any](
	a *applying, t *table[T], objects []json.RawMessage, complete func(row, old *T) error,
) error {
	kind := strings.Trim(t.name, t.dialect.quoteMark)
	for i, object := range objects {
		var id struct{ Owner, Name string }
		if err := json.Unmarshal(object, &id); err != nil {
			return fmt.Errorf("%s %d: %w", kind, i+1, err)
		}
		if id.Owner == "" || id.Name == "" {
			return fmt.Errorf("%s %d: owner and name are required", kind, i+1)
		}
		row := fmt.Sprintf("%s %s/%s", kind, id.Owner, id.Name)
		changed, err := applyRow(a, t, id.Owner, id.Name, object, complete)
		if err != nil {
			return fmt.Errorf("%s: %w", row, err)
		}
		if changed {
			a.changed = append(a.changed, row)
		}
	}
	return nil
}

// applyRow reports whether the row was there, and otherwise.
func applyRow[T any](
	a *applying, t *table[T], owner, name string, object json.RawMessage, complete func(row, old *T) error,
) (changed bool, err error) {
	old, err := t.named(a.tx, owner, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	if old != nil && a.newOnly {
		return false, nil
	}
	row := new(T)
	if err := t.merge(row, old, object); err != nil {
		return false, err
	}
	if err := complete(row, old); err != nil {
		return false, err
	}
	if old == nil {
		_, err = t.insert(a.tx, row, "")
		return false, err
	}
	if same, err := t.same(row, old); same || err != nil {
		return false, err
	}
	_, err = t.update(a.tx, row, t.columnNames(), byName, owner, name)
	return true, err
}

func completeOrganization(row, _ *sdk.Organization) error {
	row.CreatedTime = cmp.Or(row.CreatedTime, now())
	row.PasswordType = cmp.Or(row.PasswordType, passwordType)
	if row.AccountItems == nil {
		row.AccountItems = defaultAccountItems()
	}
	return nil
}

func completeProvider(row, old *sdk.Provider) error {
	if old != nil {
		row.ClientSecret = cmp.Or(row.ClientSecret, old.ClientSecret)
	}
	row.CreatedTime = cmp.Or(row.CreatedTime, now())
	return nil
}

func completeCert(row, old *sdk.Cert) error {
	if old != nil && row.CryptoAlgorithm == old.CryptoAlgorithm && row.BitSize == old.BitSize {
		row.Certificate = cmp.Or(row.Certificate, old.Certificate)
		row.PrivateKey = cmp.Or(row.PrivateKey, old.PrivateKey)
	}
	row.Scope = cmp.Or(row.Scope, "JWT")
	row.Type = cmp.Or(row.Type, certType)
	return fillCert(row)
}

func completeApplication(row, old *sdk.Application) {
	if old != nil {
		row.ClientId = cmp.Or(row.ClientId, old.ClientId)
		row.ClientSecret = cmp.Or(row.ClientSecret, old.ClientSecret)
	}
	row.ClientId = cmp.Or(row.ClientId, newClientID())
	row.ClientSecret = cmp.Or(row.ClientSecret, newClientSecret())
	row.CreatedTime = cmp.Or(row.CreatedTime, now())
	row.Cert = cmp.Or(row.Cert, builtInCert)
}

// completeUser hashes the password, which the file has in clear, unless it is the one that is set.
func completeUser(row, old *sdk.User) error {
	if old != nil {
		row.Id = cmp.Or(row.Id, old.Id)
	}
	row.Id = cmp.Or(row.Id, uuid.NewString())
	row.Type = cmp.Or(row.Type, normalUser)
	row.CreatedTime = cmp.Or(row.CreatedTime, now())
	row.UpdatedTime = cmp.Or(row.UpdatedTime, row.CreatedTime)
	row.BalanceCurrency = cmp.Or(row.BalanceCurrency, defaultCurrency)
	if row.Properties == nil {
		row.Properties = map[string]string{}
	}
	if old != nil && (row.Password == old.Password || row.Password == "" || passwordMatches(old.Password, row.Password)) {
		row.Password, row.PasswordType, row.PasswordSalt = old.Password, old.PasswordType, old.PasswordSalt
		return nil
	}
	if row.Password == "" || isReadyHash(row) { // none, or hashed already, as in a file that Casdoor dumped
		return nil
	}
	hash, err := hashPassword(row.Password)
	row.Password, row.PasswordType, row.PasswordSalt = hash, passwordType, ""
	return err
}
