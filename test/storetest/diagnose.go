package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

func (s *suite) testDiagnose(t *testing.T) {
	certs := func(at time.Time) map[string]object.Severity {
		all, err := s.store.DiagnoseCerts(t.Context(), at)
		require.NoError(t, err)
		severities := map[string]object.Severity{}
		for _, f := range all {
			name, _, _ := strings.Cut(f.Text, ":")
			severities[name] = f.Severity
		}
		return severities
	}
	const cert = "cert admin/" + fastCert
	now := time.Now()
	assert.Equal(t, object.Fine, certs(now)[cert])
	end := now
	for certs(end)[cert] == object.Fine {
		end = end.AddDate(0, 1, 0)
	}
	assert.Equal(t, object.Warning, certs(end)[cert])
	assert.Equal(t, object.Problem, certs(end.AddDate(0, 5, 0))[cert])

	n := s.tenant(t, setup{application: row{"cert": "none", "providers": []row{{"name": "nobody"}}}})
	s.apply(t, row{
		"certs": []row{{"owner": "admin", "name": "tls-" + n.name, "cryptoAlgorithm": "ES256", "scope": "TLS"}},
		"applications": []row{{
			"owner": "admin", "name": "z-" + n.name, "organization": n.name, "cert": fastCert, "clientId": "app-" + n.name,
		}, {
			"owner": "admin", "name": "tls-" + n.name, "organization": n.name, "cert": "tls-" + n.name,
		}, {
			"owner": "admin", "name": "typo-" + n.name, "organization": n.name, "cert": fastCert, "tokenFormat": "JWT-custom",
		}},
		"miniProgramProviders": []row{{"owner": "admin", "name": "none-" + n.name, "shareUnionId": true}},
	})
	n.exec(t, 1, `UPDATE "application" SET organization=? WHERE name=?`, "nowhere", "app-"+n.name)
	applications, err := s.store.DiagnoseApplications(t.Context())
	require.NoError(t, err)
	name := "application admin/app-" + n.name + ": "
	for _, f := range []object.Finding{
		{Severity: object.Problem, Text: name + "there is no organization nowhere"},
		{Severity: object.Problem, Text: name + "there is no cert none"},
		{Severity: object.Warning, Text: name + "there is no provider nobody"},
		{Severity: object.Problem, Text: "application admin/z-" + n.name + ": application admin/app-" + n.name +
			" has the same client id"},
		{Severity: object.Problem, Text: "application admin/tls-" + n.name + ": the cert tls-" + n.name +
			" is not for tokens: its scope is TLS"},
		{Severity: object.Problem, Text: "application admin/typo-" + n.name + `: there is no tokenFormat "JWT-custom"`},
		{Severity: object.Fine, Text: "application admin/app-built-in"},
	} {
		assert.Contains(t, applications, f)
	}
	s.apply(t, row{
		"providers": []row{
			{"owner": "admin", "name": "typo-" + n.name, "type": "Some Miniprogram"},
			{"owner": "admin", "name": "deaf-" + n.name}, {"owner": "admin", "name": "told-" + n.name},
		},
		"miniProgramProviders": []row{
			{"owner": "admin", "name": "deaf-" + n.name, "checkAvatar": "async"},
			{"owner": "admin", "name": "told-" + n.name, "checkAvatar": "async", "pushToken": "token"},
		},
	})
	registry, err := provider.NewRegistry(provider.Platform{
		Type: "SomeMiniProgram", Tag: "some", New: func(provider.Config) (provider.Provider, error) { return n.wechat, nil },
	})
	require.NoError(t, err)
	providers, err := s.store.DiagnoseProviders(t.Context(), registry)
	require.NoError(t, err)
	assert.Contains(t, providers, object.Finding{
		Severity: object.Problem,
		Text:     `provider admin/typo-` + n.name + `: there is no type "Some Miniprogram", write SomeMiniProgram`,
	})
	assert.Contains(t, providers, object.Finding{
		Severity: object.Warning, Text: "options are set for the provider admin/none-" + n.name + ", which does not exist",
	})
	assert.Contains(t, providers, object.Finding{
		Severity: object.Problem, Text: "provider admin/deaf-" + n.name + ": checkAvatar is async, but without a pushToken no " +
			"verdict comes: set message push up",
	})
	assert.NotContains(t, fmt.Sprint(providers), "told-")

	_, err = s.store.DiagnoseWriting(t.Context())
	require.NoError(t, err)

	right, err := s.store.DiagnoseClock(t.Context(), time.Now())
	require.NoError(t, err)
	late, err := s.store.DiagnoseClock(t.Context(), time.Now().Add(2*time.Minute))
	require.NoError(t, err)
	if s.cfg.DriverName == "sqlite" {
		assert.Empty(t, append(right, late...), "it runs in our process")
		return
	}
	assert.Equal(t, object.Fine, right[0].Severity)
	assert.Equal(t, object.Problem, late[0].Severity)
}
