package object

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"golang.org/x/sync/errgroup"

	"github.com/minidoor/minidoor/provider"
)

// Severity says how bad a Finding is.
type Severity string

// The severities.
const (
	Fine    Severity = "ok"
	Warning Severity = "warning" // it works, but somebody should look at it
	Problem Severity = "problem" // it does not work
)

// Finding is what a look at the settings has found, in a line for the admin. It holds no secret.
type Finding struct {
	Severity Severity
	Text     string
}

// String returns the line. Who may write rows could else write lines of ours into them.
func (f Finding) String() string { return oneLine(fmt.Sprintf("%s: %s", f.Severity, f.Text)) }

func found(s Severity, format string, args ...any) Finding {
	return Finding{s, fmt.Sprintf(format, args...)}
}

// DiagnoseProviders tries the AppID and AppSecret of each provider that the registry knows the type of, and looks for
// types that are misspelt and options of providers that are not there.
func (s *Store) DiagnoseProviders(ctx context.Context, registry *provider.Registry) ([]Finding, error) {
	rows, err := s.providers.find(s.read(ctx), "ORDER BY owner, name")
	if err != nil {
		return nil, err
	}
	tried := diagnoseAll(ctx, registry, rows)
	var all []Finding
	for i, row := range rows {
		if _, ours := registry.ByType(row.Type); ours {
			all = append(all, tried[i])
		} else if meant, ok := registry.MeantBy(row.Type); ok {
			all = append(all, found(Problem, "provider %s/%s: there is no type %q, write %s", row.Owner, row.Name, row.Type,
				meant.Type))
		}
	}
	if len(all) == 0 {
		all = append(all, found(Warning, "there is no provider of a mini program: nobody can sign in"))
	}
	if s.bare {
		return all, nil
	}
	options, err := s.options.find(s.read(ctx), "ORDER BY owner, name")
	for _, o := range options {
		if !slices.ContainsFunc(rows, func(row *sdk.Provider) bool { return row.Owner == o.Owner && row.Name == o.Name }) {
			all = append(all, found(Warning, "options are set for the provider %s/%s, which does not exist", o.Owner, o.Name))
		} else if o.CheckAvatar == checkLater && o.PushToken == "" {
			all = append(all, found(Problem, "provider %s/%s: checkAvatar is async, but without a pushToken no verdict comes: set "+
				"message push up", o.Owner, o.Name))
		}
	}
	return all, err
}

// DiagnoseProviders is the Store's for an application of a Service that may have none.
func (s *Service) DiagnoseProviders(ctx context.Context, clientID string) ([]Finding, error) {
	client, err := s.Client(ctx, clientID)
	if err != nil {
		return nil, err
	}
	var rows []*sdk.Provider
	for _, m := range client.miniPrograms {
		if _, ours := s.registry.ByType(m.row.Type); ours {
			rows = append(rows, m.row)
		}
	}
	all := diagnoseAll(ctx, s.registry, rows)
	if len(all) == 0 {
		all = append(all, found(Warning, "the application %s has no provider of a mini program", client.Application.Name))
	}
	return all, nil
}

// triedAtOnce is how many providers are tried at a time.
const triedAtOnce = 8

// diagnoseAll tries the providers that the registry knows the type of. What it returns is in their order, with a
// Finding of no worth for each other one.
func diagnoseAll(ctx context.Context, registry *provider.Registry, rows []*sdk.Provider) []Finding {
	all := make([]Finding, len(rows))
	var trying errgroup.Group
	trying.SetLimit(triedAtOnce)
	for i, row := range rows {
		if platform, ours := registry.ByType(row.Type); ours {
			trying.Go(func() error {
				all[i] = diagnose(ctx, platform, row)
				return nil
			})
		}
	}
	_ = trying.Wait() // none fails
	return all
}

func diagnose(ctx context.Context, platform provider.Platform, row *sdk.Provider) Finding {
	name := fmt.Sprintf("provider %s/%s, AppID %s", row.Owner, row.Name, row.ClientId)
	p, err := platform.New(configOf(row))
	if err == nil {
		diagnoser, ok := p.(provider.TokenDiagnoser)
		if !ok {
			return found(Fine, "%s: cannot be tried", name)
		}
		err = diagnoser.Diagnose(ctx)
	}
	if err == nil {
		return found(Fine, "%s: the platform accepts it", name)
	}
	if upstream, ok := errors.AsType[*provider.Error](err); ok && upstream.Hint != "" {
		return found(Problem, "%s: %s: %s", name, err, upstream.Hint)
	}
	return found(Problem, "%s: %s", name, err)
}

// certWarning is how long before a cert's end admins hear of it.
const certWarning = 90 * 24 * time.Hour

// DiagnoseCerts looks for certs that cannot be read, or whose end is near.
func (s *Store) DiagnoseCerts(ctx context.Context, now time.Time) ([]Finding, error) {
	rows, err := s.certs.find(s.read(ctx), "ORDER BY owner, name")
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, row := range rows {
		if SignsTokens(row) {
			all = append(all, s.diagnoseCert(row, now))
		}
	}
	return all, nil
}

func (s *Store) diagnoseCert(row *sdk.Cert, now time.Time) Finding {
	name := fmt.Sprintf("cert %s/%s", row.Owner, row.Name)
	key, err := s.keyring.parse(row)
	if err != nil {
		return found(Problem, "%s: %s", name, err)
	}
	if !key.pair {
		return found(Problem, "%s: %s", name, noPair)
	}
	if key.isCasdoorsOwn() {
		return found(Warning, "%s: its private key is in Casdoor's public repository, so anybody can make tokens that your "+
			"back ends take: make a new one and choose it in the applications", name)
	}
	if key.certificate == nil {
		return found(Fine, "%s: a bare key, without an end", name)
	}
	end := key.certificate.NotAfter
	switch left := end.Sub(now); {
	case left <= 0:
		return found(Problem, "%s: it has expired on %s: make a new one and choose it in the applications", name,
			end.Format(time.DateOnly))
	case left < certWarning:
		return found(Warning, "%s: it expires on %s: make a new one and choose it in the applications", name,
			end.Format(time.DateOnly))
	}
	return found(Fine, "%s: valid until %s", name, end.Format(time.DateOnly))
}

// DiagnoseApplications looks for what the applications name and is not there, for client ids that two of them have, for
// certs that cannot sign as they want, and for rows that cannot be read.
func (s *Store) DiagnoseApplications(ctx context.Context) ([]Finding, error) {
	var all []Finding
	t := s.applications
	applications, err := t.findReadable(s.read(ctx), t.columns, func(app *sdk.Application, columns []string) bool {
		all = append(all, found(Problem, "application %s/%s: it cannot be used: what cannot be read is %s", app.Owner, app.Name,
			strings.Join(columns, ", ")))
		return false
	}, t.name+" ORDER BY owner, name")
	if err != nil {
		return nil, err
	}
	var there struct{ organizations, certs, providers []string }
	for names, table := range map[*[]string]string{
		&there.organizations: s.organizations.name, &there.certs: s.certs.name, &there.providers: s.providers.name,
	} {
		if *names, err = namesIn(s.read(ctx), table); err != nil {
			return nil, err
		}
	}
	clients := map[string]string{} // the applications by their client ids
	for _, app := range applications {
		name := fmt.Sprintf("application %s/%s", app.Owner, app.Name)
		before := len(all)
		if !slices.Contains(there.organizations, app.Organization) {
			all = append(all, found(Problem, "%s: there is no organization %s", name, app.Organization))
		}
		if cert := CertOf(app); !slices.Contains(there.certs, cert) {
			all = append(all, found(Problem, "%s: there is no cert %s", name, cert))
		} else if err := s.canSign(ctx, app); err != nil {
			all = append(all, found(Problem, "%s: %s", name, err))
		}
		if !isTokenFormat(app.TokenFormat) {
			all = append(all, found(Problem, "%s: there is no tokenFormat %q", name, app.TokenFormat))
		}
		if first, taken := clients[app.ClientId]; taken && app.ClientId != "" {
			all = append(all, found(Problem, "%s: %s has the same client id", name, first))
		}
		clients[app.ClientId] = name
		for _, item := range itemsOf(app) {
			if !slices.Contains(there.providers, item.Name) {
				all = append(all, found(Warning, "%s: there is no provider %s", name, item.Name))
			}
		}
		if len(all) == before {
			all = append(all, found(Fine, "%s", name))
		}
	}
	return all, nil
}

// canSign returns why the cert of an application cannot sign its tokens.
func (s *Store) canSign(ctx context.Context, app *sdk.Application) error {
	cert, err := s.certFor(s.read(ctx), CertOf(app), app.Organization)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("the cert %s is another organization's", CertOf(app))
	}
	if err != nil {
		return err
	}
	if !SignsTokens(cert) {
		return fmt.Errorf("the cert %s is not for tokens: its scope is %s", cert.Name, cert.Scope)
	}
	key, err := s.keyring.parse(cert)
	if err != nil {
		return err
	}
	return key.canSign(app.TokenSigningMethod) // a signature of each application would take minutes
}

// namesIn returns the names of a table's rows, each once.
func namesIn(q querier, table string) (names []string, err error) {
	err = eachRow(q, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	}, "SELECT DISTINCT name FROM "+table)
	return names, err
}
