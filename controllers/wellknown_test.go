package controllers_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/harness"
)

// Each application has a document and a key set of its own; all that is not about the application is the server's.
func TestApplicationDocuments(t *testing.T) {
	t.Parallel()
	const odd = "商店 & co. #1?%41;:"
	const oddInPath = "%E5%95%86%E5%BA%97%20&%20co.%20%231%3F%2541%3B:"
	own := harness.App("app-own", "ownclient", harness.Provider)
	own["cert"], own["grantTypes"] = "cert-own", []string{"refresh_token"}
	shared := harness.App("app-shared", "sharedclient", harness.Provider)
	shared["isShared"] = true
	s := harness.Start(t, harness.Options{Rows: harness.Rows{
		"certs":        {{"owner": "admin", "name": "cert-own", "cryptoAlgorithm": "ES256"}},
		"applications": {own, shared, harness.App(odd, "oddclient"), harness.App("openid-configuration", "nastyclient")},
	}})
	get := func(path string) map[string]any { return s.Call(t, "GET", path, "", nil).Map(t) }
	common := get("/.well-known/openid-configuration")
	assert.Equal(t, common, get("/.well-known/oauth-authorization-server"))
	for name, c := range map[string]struct {
		path, cert string
		noClient   bool
	}{
		"first":             {harness.Application, "cert-built-in", false},
		"its own cert":      {"app-own", "cert-own", true},
		"shared":            {"app-shared", "cert-built-in", false},
		"shared, acting":    {"app-shared-org-built-in", "cert-built-in", false},
		"odd name":          {oddInPath, "cert-built-in", false},
		"name like a route": {"openid-configuration", "cert-built-in", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document := get("/.well-known/" + c.path + "/openid-configuration")
			assert.Equal(t, document, get("/.well-known/"+c.path+"/oauth-authorization-server"))
			uri, _ := document["jwks_uri"].(string)
			assert.Equal(t, s.URL+"/.well-known/"+c.path+"/jwks", uri)
			want := maps.Clone(common)
			want["jwks_uri"] = uri
			if c.noClient {
				want["grant_types_supported"] = []any{"refresh_token"}
			}
			assert.Equal(t, want, document)
			keys, _ := get(strings.TrimPrefix(uri, s.URL))["keys"].([]any)
			require.Len(t, keys, 1)
			key, _ := keys[0].(map[string]any)
			assert.Equal(t, c.cert, key["kid"])
			all, _ := get("/.well-known/jwks")["keys"].([]any)
			assert.Contains(t, all, any(key), "the same as among all")
		})
	}
}

func TestApplicationDocumentsOfNobody(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	var scenarios []scenario
	for _, document := range []string{"openid-configuration", "oauth-authorization-server", "jwks"} {
		for name, told := range map[string]string{
			"nope": "nope", "APP-SHOP": "APP-SHOP", "app-shop%20": "app-shop ", ":name": ":name", "*": "*", "...": "...",
			harness.ClientID: harness.ClientID, "app-shop-org-built-in": "app-shop-org-built-in",
			"jwks.json": "jwks.json", "%22%3C": `\"\u003c`, "a%00b": `a\u0000b`, "a%FFb": `a\ufffdb`,
			strings.Repeat("x", 1000): strings.Repeat("x", 100),
		} {
			scenarios = append(scenarios, scenario{
				name: document + " of " + name[:min(len(name), 20)], method: "GET", path: "/.well-known/" + name + "/" + document,
				status: http.StatusNotFound, has: []string{casdoor("The application: " + told + " does not exist")},
				reply: map[string]string{"Cache-Control": "no-store"},
			})
		}
	}
	runAll(t, s.Handler, scenarios)
}

// A HEAD is a GET without its body, and the limits are those of all paths.
func TestApplicationKeysAreLimited(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Limits: controllers.LimitsConfig{PerIP: 2}})
	const path = "/.well-known/" + harness.Application + "/jwks"
	head, get := s.Call(t, http.MethodHead, path, "", nil), s.Call(t, http.MethodGet, path, "", nil)
	assert.Equal(t, http.StatusOK, head.Status)
	assert.Empty(t, head.Body)
	assert.Equal(t, get.Header.Get("Content-Length"), head.Header.Get("Content-Length"))
	over := s.Call(t, http.MethodGet, path, "", nil)
	assert.Equal(t, http.StatusTooManyRequests, over.Status)
	assert.NotEmpty(t, over.Header.Get("Retry-After"))
}
